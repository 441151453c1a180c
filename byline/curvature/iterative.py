"""Inverses that are solved for each query: no matrix is fitted, only the numbers that the solver needs.

    score = (H + lam I)^-1 q . g,    lam = damping * mean eigenvalue of H

The query's whole gradient q is solved for, then projected, and training gradients g are projected: each query costs passes
over a fixed sample of the training set. With the projection to an EK-FAC fit's eigenbasis (`if_cg`) the fit preconditions
the solver, and weighs the kept coordinates on either side by (L + d)^-1/2 and (L + d)^1/2, which cancel in a score.
The mean eigenvalue tr(H)/P is estimated by Hutchinson's estimator (1990), E[z^T H z] = tr(H) over random signs z, when
the index is built, and kept in it: one number, so that every query is solved with the same matrix.

Shapes: V vectors at once, P numbers of all parameters together.
"""

import math
from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from byline.curvature.base import BatchProducts, EveryFit, Preconditioner, Source, Statistic
from byline.curvature.kronecker import Ekfac, kept_blocks
from byline.curvature.labels import Labels
from byline.curvature.products import Matrix
from byline.curvature.solvers import LissaOptions, Product, conjugate_gradients, largest_eigenvalue, lissa
from byline.curvature.sums import Sums
from byline.errors import InvalidRecipe
from byline.gradients.outer_products.blocks import Block
from byline.progress import count_steps
from byline.projection.base import ProjectionSpec
from byline.projection.eigenbasis import EigenbasisProjection
from byline.randomness import random_signs, stream_key
from byline.types import State

PROBES = 16
"""Vectors of random signs that estimate the trace: to about a tenth where many eigenvalues matter."""
NUMBERS = 1 << 26
"""Numbers of vectors that are multiplied together, at most."""
_POWER = 16
"""Exponent of the norm over the batches' largest eigenvalues: the norm bounds their maximum, and its terms can be
added up."""
DAMPING, SCALE = "solve.damping", "solve.scale"
"""Names in the state, float64 [1]: what is added to every eigenvalue, and LiSSA's step."""


class SampleProducts(Protocol):
    """The mean curvature matrix over a sample of the training set, by products."""

    @property
    def batches(self) -> int:
        """Number of batches of the sample."""

    def mean(self, vectors_VP: Tensor, matrix: Matrix) -> Tensor:
        """Compute H v of every row, H the mean over the sample: float64."""

    def of_batch(self, vectors_VP: Tensor, batch: int, matrix: Matrix) -> Tensor:
        """Compute H v of every row, H the mean over one batch: float64."""


class Cg(BaseModel):
    """Conjugate gradients: the inverse to any accuracy, at one pass over the sample an iteration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["cg"] = "cg"
    matrix: Matrix = "ggn"
    """The Gauss-Newton matrix (needs `Task.outputs`), or the Hessian, which must be positive definite once damped."""
    damping: float = Field(default=30.0, gt=0, le=1e6)
    """Damping, in units of the mean eigenvalue, which is estimated when the index is built. Most eigenvalues of a trained
    network are near zero, so the mean is far below the large ones. More damping takes fewer iterations."""
    sample: int | None = Field(default=1024, ge=1)
    """Training points, drawn at random, that every product runs over. None takes all, at every iteration of a query."""
    iterations: int = Field(default=100, ge=1, le=100_000)
    """The most passes over the sample that a query may cost."""
    tolerance: float = Field(default=1e-3, ge=0, lt=1)
    """Residual, relative to the query's gradient, at which a query is solved."""

    @property
    def labels(self) -> Labels:
        """The curvature is of the loss at the data's own labels."""
        return "given"

    @property
    def batch(self) -> int:
        """Training points that are differentiated together."""
        return 64

    @property
    def passes(self) -> int:
        """The most passes over the sample that a query costs."""
        return self.iterations

    def statistics(self, blocks: Sequence[Block], projection: ProjectionSpec) -> tuple[Statistic, ...]:
        """List the mean eigenvalue, and an EK-FAC fit where the projection is to its eigenbasis."""
        trace = TraceStatistic(blocks, self.matrix, self.damping, self.sample)
        if isinstance(projection, EigenbasisProjection):
            return (trace, *Ekfac().statistics(blocks, projection))
        return (trace,)

    def preconditioner(self, state: State) -> Preconditioner:
        """Make that of the EK-FAC fit, which weighs the kept coordinates; the identity without one."""
        return Ekfac().preconditioner(state) if kept_blocks(state) else _as_it_is

    def solve(
        self,
        products: SampleProducts,
        gradients_VP: Tensor,
        state: State,
        inverse: Product | None = None,
    ) -> Tensor:
        """H^-1 q of every row, float64.

        Args:
            products: The matrix.
            gradients_VP: Whole gradients of queries.
            state: Fitted state: the damping.
            inverse: Near the damped inverse: the solver's preconditioner.

        Returns:
            [V, P].

        Raises:
            InvalidRecipe: The damped matrix is not positive definite.
        """
        damping = float(state[DAMPING])

        with count_steps("solve", self.iterations) as advance:

            def damped(vectors_VP: Tensor) -> Tensor:
                product_VP = products.mean(vectors_VP, self.matrix) + damping * vectors_VP
                advance(1)
                return product_VP

            found = conjugate_gradients(
                damped,
                gradients_VP.double(),
                iterations=self.iterations,
                tolerance=self.tolerance,
                inverse=inverse,
            )
        if bool(found.indefinite_V.any()):
            raise InvalidRecipe(
                f"expected a positive definite matrix for conjugate gradients, got a direction in which the damped "
                f"{self.matrix} is not: raise curvature.damping ({self.damping}), or take curvature.matrix = 'ggn'"
            )
        return found.x_VP


class Lissa(BaseModel):
    """LiSSA: many cheap steps, each over one batch of the sample. The Gauss-Newton matrix, whose steps contract."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["lissa"] = "lissa"
    damping: float = Field(default=30.0, gt=0, le=1e6)
    """Damping, in units of the mean eigenvalue, which is estimated when the index is built. Most eigenvalues of a trained
    network are near zero, so the mean is far below the large ones. More damping takes fewer iterations."""
    sample: int | None = Field(default=1024, ge=1)
    """Training points, drawn at random, that the batches are of. None takes all."""
    batch: int = Field(default=64, ge=1)
    """Training points of one step."""
    depth: int = Field(default=400, ge=1, le=1_000_000)
    """Steps of a repeat: as many as the condition number of the damped matrix, or more."""
    repeats: int = Field(default=1, ge=1, le=1000)
    """Runs that are averaged, each beginning at another batch: less noise from the batches."""

    @property
    def passes(self) -> int:
        """Steps of all repeats, in passes over the sample; over 1,024 points where it is all of the training set."""
        return math.ceil(self.depth * self.repeats * self.batch / (self.sample or 1024))

    @property
    def matrix(self) -> Matrix:
        """Always the Gauss-Newton matrix."""
        return "ggn"

    @property
    def labels(self) -> Labels:
        """The curvature is of the loss at the data's own labels."""
        return "given"

    def statistics(self, blocks: Sequence[Block], projection: ProjectionSpec) -> tuple[Statistic, ...]:
        """List the mean eigenvalue, and the largest of any batch."""
        del projection
        return (
            TraceStatistic(blocks, "ggn", self.damping, self.sample),
            ScaleStatistic(blocks, self.sample),
        )

    def preconditioner(self, state: State) -> Preconditioner:
        """Make the identity: stored vectors stay as they are."""
        del state
        return _as_it_is

    def solve(
        self,
        products: SampleProducts,
        gradients_VP: Tensor,
        state: State,
        inverse: Product | None = None,
    ) -> Tensor:
        """H^-1 q of every row, float64; steps of LiSSA have no preconditioner."""
        del inverse
        options = LissaOptions(
            depth=self.depth, repeats=self.repeats, damping=float(state[DAMPING]), scale=float(state[SCALE])
        )

        with count_steps("solve", self.depth * self.repeats) as advance:

            def product(vectors_VP: Tensor, batch: int) -> Tensor:
                product_VP = products.of_batch(vectors_VP, batch, "ggn")
                advance(1)
                return product_VP

            return lissa(product, gradients_VP.double(), products.batches, options).x_VP


IterativeCurvature = Cg | Lissa
"""Curvatures of the side rule `solved`."""


def _as_it_is(phi_NK: Tensor, power: float) -> Tensor:
    """Leave rows as they are: their weights on the two sides are the inverse of each other, so any will do."""
    del power
    return phi_NK


class TraceStatistic(EveryFit):
    """Hutchinson's estimate of the mean eigenvalue."""

    name = "trace"
    source: Source = "products"
    labels: Labels = "given"

    def __init__(self, blocks: Sequence[Block], matrix: Matrix, damping: float, sample: int | None) -> None:
        self._width = sum(block.rows * block.columns for block in blocks)
        self._matrix, self._damping, self.sample = matrix, damping, sample

    def measure(self, batch: BatchProducts, state: State) -> State:
        """Compute the mean over the probes of z^T H z."""
        del state
        key, together, total = stream_key(0, "trace"), max(1, min(PROBES, NUMBERS // self._width)), 0.0
        for start in range(0, PROBES, together):
            count = min(together, PROBES - start)
            signs_VP = random_signs(key, start, count, self._width, torch.device("cpu")).double()
            products_VP = batch(signs_VP, self._matrix)
            total += float((products_VP * signs_VP.to(products_VP)).sum())
        return {"trace": torch.tensor([total / PROBES], dtype=torch.float64)}

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Compute the damping as a number.

        Raises:
            InvalidRecipe: The mean eigenvalue is not positive.
        """
        del state
        mean = sums["trace"] / count / self._width
        if not bool(mean > 0):
            raise InvalidRecipe(
                f"expected a {self._matrix} whose mean eigenvalue is positive, since damping is in units of it, got "
                f"{float(mean):.3g}: take curvature.matrix = 'ggn', or weights that are trained"
            )
        return {DAMPING: self._damping * mean}


class ScaleStatistic(EveryFit):
    """An upper bound of the largest eigenvalue of any batch's mean Gauss-Newton matrix, by power iteration."""

    name = "scale"
    source: Source = "products"
    labels: Labels = "given"

    def __init__(self, blocks: Sequence[Block], sample: int | None) -> None:
        self._width = sum(block.rows * block.columns for block in blocks)
        self.sample = sample

    def measure(self, batch: BatchProducts, state: State) -> State:
        """Compute a high power of the batch's largest eigenvalue."""
        del state
        start_1P = random_signs(stream_key(0, "scale"), 0, 1, self._width, torch.device("cpu")).double()
        found = largest_eigenvalue(lambda v_1P: batch(v_1P, "ggn").to(v_1P) / len(batch), start_1P[0])
        return {"scale": torch.tensor([found**_POWER], dtype=torch.float64)}

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Compute the root of the sum: the maximum, times at most the 16th root of the number of batches."""
        del count, state
        return {SCALE: sums["scale"] ** (1 / _POWER)}
