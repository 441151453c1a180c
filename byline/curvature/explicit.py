"""The whole curvature matrix, written out and factorised: the yardstick of every approximation, for small models.

H = (1/n) sum_i sum_c p_ic g_ic g_ic^T, over all classes c (the Gauss-Newton matrix), over draws of the model, or at the
training labels. H + damping * mean eigenvalue * I = L L^T. A feature is L^-1 g: lengths and products are those of H^-1.
(Koh & Liang 2017, with the GGN in place of the Hessian, which need not be positive definite.)

With `matrix = "hessian"` it is the Hessian of the mean loss itself, by Hessian-vector products with unit vectors, and
H + damping * mean eigenvalue * I = U diag(l) U^T. Eigenvalues l keep their sign: the inverse is 1/l, negative where the
loss curves down, and neither |l| nor a projection onto the positive ones is taken in its place. So there is no root, and
the whole inverse goes to the training side. A damped matrix that is singular to rounding is refused.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from byline.curvature.base import BatchProducts, EveryFit, Preconditioner, Source, Statistic
from byline.curvature.filters import FilteredCurvature
from byline.curvature.labels import Labels
from byline.curvature.linalg import EigenPreconditioner, refuse_too_wide, replace_zeros
from byline.curvature.products import Matrix
from byline.curvature.sums import Sums
from byline.errors import InvalidRecipe
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients
from byline.projection.base import ProjectionSpec
from byline.types import State


class Explicit(FilteredCurvature):
    """The curvature matrix itself."""

    kind: Literal["explicit"] = "explicit"
    matrix: Matrix = "ggn"
    """Outer products of gradients, or the `hessian` itself: indefinite, so it needs sides = 'one_sided' and the
    projection 'identity'."""
    labels: Labels = "exact"
    """`exact` is the GGN: as many backward passes as there are classes. The Hessian is always of the data's labels."""
    sample: int | None = Field(default=None, ge=1)
    """Training points that the matrix is fitted on, drawn at random. None takes all."""

    def statistics(self, blocks: Sequence[Block], projection: ProjectionSpec) -> tuple[Statistic, ...]:
        """List the one pass.

        Raises:
            InvalidRecipe: The matrix would be too large.
        """
        width = sum(projection.projector(blocks, {}).widths.values())
        refuse_too_wide(width)
        return (HessianStatistic(self, width) if self.matrix == "hessian" else MatrixStatistic(self),)

    def preconditioner(self, state: State) -> Preconditioner:
        """Solve with the factor, or in the Hessian's eigenbasis."""
        if self.matrix == "hessian" or self.filter == "finite_run":
            return EigenPreconditioner([(state["explicit.vectors"], state["explicit.values"])])
        return CholeskyPreconditioner(state["explicit.cholesky"])


class MatrixStatistic(EveryFit):
    """Sum of outer products of whole gradients."""

    name = "matrix"
    source: Source = "projected"

    def __init__(self, options: Explicit) -> None:
        self.sample, self.labels = options.sample, options.labels
        self._options = options

    def measure(self, batch: BatchGradients | Tensor, state: State) -> State:
        """Outer products of one batch."""
        del state
        assert isinstance(batch, Tensor)
        part_NK = batch.double()
        return {"matrix": part_NK.T @ part_NK}

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Compute the damped mean's Cholesky factor, lower; the mean's eigenpairs for another filter than damping."""
        matrix = sums["matrix"] / count
        mean = replace_zeros(matrix.diagonal().mean())
        if self._options.filter != "damped":
            values, vectors = torch.linalg.eigh(matrix)
            inverse = self._options.spectral_filter(state).inverse(values.clamp_min(0), mean)
            return {"explicit.values": inverse, "explicit.vectors": vectors.float().contiguous()}
        matrix.diagonal().add_(self._options.damping * mean)
        return {"explicit.cholesky": torch.linalg.cholesky(matrix).float()}


CHUNK = 256
"""Unit vectors that are multiplied together."""
SINGULAR = 1e-6
"""Least |eigenvalue| of a damped Hessian, relative to the largest: below, rounding decides the inverse."""


class HessianStatistic(EveryFit):
    """Sum of the Hessian's columns."""

    name = "hessian"
    source: Source = "products"
    labels: Labels = "given"

    def __init__(self, options: Explicit, width: int) -> None:
        self.sample, self._damping, self._width = options.sample, options.damping, width

    def measure(self, batch: BatchProducts, state: State) -> State:
        """Yield the columns of one batch, some at a time."""
        del state
        units = torch.eye(self._width, dtype=torch.float32)
        return {"hessian": torch.cat([batch(chunk, "hessian") for chunk in torch.split(units, CHUNK)])}

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Compute the eigenpairs of the damped mean.

        Raises:
            InvalidRecipe: Damping does not make it invertible.
        """
        del state
        matrix = (sums["hessian"] + sums["hessian"].T) / (2 * count)  # products are symmetric up to rounding
        mean = matrix.diagonal().mean()
        values, vectors = torch.linalg.eigh(matrix)
        damped = values + self._damping * mean
        if not bool(mean > 0) or bool(damped.abs().min() <= SINGULAR * damped.abs().max()):
            raise InvalidRecipe(
                f"expected a Hessian that is invertible once damped, got a mean eigenvalue of {float(mean):.3g} and damped "
                f"ones down to {float(damped.abs().min()):.3g}: change curvature.damping ({self._damping}), or take "
                f"curvature.matrix = 'ggn'"
            )
        return {"explicit.values": damped, "explicit.vectors": vectors.float().contiguous()}


class CholeskyPreconditioner:
    """H^-1/2 as L^-1, H^-1, and the gradient itself: all that side rules ask for."""

    def __init__(self, lower_KK: Tensor) -> None:
        self._lower_KK = lower_KK

    def __call__(self, phi_NK: Tensor, power: float) -> Tensor:
        """Solve for every row."""
        lower_KK = self._lower_KK.to(phi_NK)
        if power == 0:
            return phi_NK
        if power == -1:
            return torch.cholesky_solve(phi_NK.T, lower_KK).T.contiguous()
        assert power == -0.5
        solved_KN: Tensor = torch.linalg.solve_triangular(lower_KK, phi_NK.T, upper=False)
        return solved_KN.T.contiguous()
