"""The Fisher matrix of projected gradients, whole or by layer.

F = (1/n) sum_i phi_i phi_i^T, phi_i at the training labels, at draws of the model, or over all classes. With
H = F + damping * (mean eigenvalue of F) * I and a root W^T W = H^-1, a feature is W phi: lengths and products are those of
H^-1. (TRAK, Park et al. 2023, with a damping, since F is singular where n < k; LoGra, Choe et al. 2024, by layer.)
The root is the inverse of H's Cholesky factor: a few times cheaper than an eigendecomposition, and as exact.

With an evaluation set F = e F_eval + (1 - e) F_train, F_eval of its gradients as queries: directions that all queries share
weigh less then. (TrackStar, Chang et al. 2024, whose lambda is e.)
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from byline.curvature.base import SCRATCH, EveryFit, Preconditioner, Source, Statistic
from byline.curvature.filters import FilteredCurvature, SpectralFilter
from byline.curvature.labels import Labels
from byline.curvature.linalg import refuse_too_wide, replace_zeros
from byline.curvature.sums import LazySums, Sums
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients
from byline.progress import count_items
from byline.projection.base import ProjectionSpec
from byline.types import State


class Fisher(FilteredCurvature):
    """Fisher matrix of the projected gradients."""

    kind: Literal["fisher"] = "fisher"
    blocks: Literal["joint", "layer"] = "joint"
    """One matrix over all k numbers, or one for each layer (needs a projection that keeps layers apart)."""
    sample: int | None = Field(default=None, ge=1)
    """Training points that the matrix is fitted on, drawn at random. None takes all."""

    labels: Labels = "given"
    """Labels of the gradients: the data's, draws of the model, or all classes (the exact GGN)."""
    evaluation: float = Field(default=0.0, ge=0, lt=1)
    """Share of the matrix that is of the Task's evaluation set, as queries. The rest is of training points."""

    def statistics(self, blocks: Sequence[Block], projection: ProjectionSpec) -> tuple[Statistic, ...]:
        """List one pass over the projected gradients; before it one over the evaluation set's, if they have a share.

        Raises:
            InvalidRecipe: A matrix would be too large.
        """
        widths = projection.projector(blocks, {}).widths
        if self.blocks == "joint":
            widths = {"all": sum(widths.values())}
        refuse_too_wide(max(widths.values()))
        fisher = FisherStatistic(widths, self)
        return (EvaluationStatistic(widths), fisher) if self.evaluation else (fisher,)

    def preconditioner(self, state: State) -> Preconditioner:
        """Multiply by the roots of the inverses."""
        return RootPreconditioner([state[name] for name in sorted(state) if name.startswith(ROOT)])


ROOT = "fisher.root."
"""Before the numbers of the blocks, in their order."""


class FisherStatistic(EveryFit):
    """Sums of outer products of projected gradients."""

    name = "fisher"
    source: Source = "projected"

    def __init__(self, widths: Mapping[str, int], options: Fisher) -> None:
        self._widths = widths
        self.sample, self.labels = options.sample, options.labels
        self._options = options

    def measure(self, batch: BatchGradients | Tensor, state: State) -> Sums:
        """Compute phi^T phi of every block."""
        del state
        return _outer_products(batch, self._widths)

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Compute the roots of the damped means' inverses, float32, in the order of the blocks."""
        share = self._options.evaluation
        roots: State = {}
        for place, name in enumerate(count_items(None, self._widths)):
            mean_KK = sums[name] / count
            if share:
                mean_KK = share * state[f"{EVALUATED}{name}"] + (1 - share) * mean_KK
            # safetensors keeps names sorted, so the order of the blocks is part of the name.
            roots[f"{ROOT}{place:05d}"] = self._root(mean_KK, state).float()
        return roots

    def _root(self, matrix_KK: Tensor, state: State) -> Tensor:
        if self._options.filter == "damped":
            return inverse_root(matrix_KK, self._options.damping)
        return filtered_root(matrix_KK, self._options.spectral_filter(state))


EVALUATED = f"{SCRATCH}evaluation."


class EvaluationStatistic(EveryFit):
    """Mean outer products of the evaluation set's projected gradients."""

    name = "evaluation"
    source: Source = "evaluation"
    sample = None
    labels: Labels = "given"

    def __init__(self, widths: Mapping[str, int]) -> None:
        self._widths = widths

    def measure(self, batch: BatchGradients | Tensor, state: State) -> Sums:
        """Compute phi^T phi of every block."""
        del state
        return _outer_products(batch, self._widths)

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Compute the means, for the Fisher matrix to be mixed with."""
        del state
        return {f"{EVALUATED}{name}": total / count for name, total in sums.items()}


def _outer_products(batch: BatchGradients | Tensor, widths: Mapping[str, int]) -> Sums:
    assert isinstance(batch, Tensor)
    parts = torch.split(batch, list(widths.values()), dim=1)
    pairs = zip(widths, parts, strict=True)
    return LazySums([([name], partial(_outer_product, name, part_NK)) for name, part_NK in pairs])


def _outer_product(name: str, part_NK: Tensor) -> State:
    exact_NK = part_NK.double()
    return {name: exact_NK.T @ exact_NK}


def inverse_root(matrix_KK: Tensor, damping: float) -> Tensor:
    """W with W^T W = (matrix + damping * mean eigenvalue * I)^-1.

    Args:
        matrix_KK: Symmetric and positive semi-definite, float64.
        damping: Above zero.

    Returns:
        W_KK, lower triangular. Another root where so little damping leaves rounding below zero.
    """
    added = damping * replace_zeros(matrix_KK.diagonal().mean())
    identity_KK = torch.eye(len(matrix_KK)).to(matrix_KK)
    # `cholesky_ex` reports a failure instead of raising: rounding may leave a tiny negative eigenvalue.
    lower_KK, failed = torch.linalg.cholesky_ex(matrix_KK + added * identity_KK)
    if not bool(failed):
        root_KK: Tensor = torch.linalg.solve_triangular(lower_KK, identity_KK, upper=False)
        return root_KK
    values_K, vectors_KK = torch.linalg.eigh(matrix_KK)
    scaled_KK: Tensor = (values_K.clamp_min(0) + added).rsqrt() * vectors_KK
    return scaled_KK.T.contiguous()


def filtered_root(matrix_KK: Tensor, spectral: SpectralFilter) -> Tensor:
    """W with W^T W = U f(L) U^T, the filter in place of the inverse of L's eigenvalues.

    Args:
        matrix_KK: Symmetric and positive semi-definite, float64.
        spectral: The filter.

    Returns:
        W_KK.
    """
    values_K, vectors_KK = torch.linalg.eigh(matrix_KK)
    mean = replace_zeros(matrix_KK.diagonal().mean())
    root_KK: Tensor = spectral.inverse(values_K.clamp_min(0), mean).rsqrt() * vectors_KK
    return root_KK.T.contiguous()


class RootPreconditioner:
    """H^-1/2 as W, H^-1 as W^T W, and the gradient itself, block by block: all that side rules ask for."""

    def __init__(self, roots: Sequence[Tensor]) -> None:
        self._roots = roots

    def __call__(self, phi_NK: Tensor, power: float) -> Tensor:
        """Every row multiplied, block by block."""
        if power == 0:
            return phi_NK
        assert power in {-0.5, -1.0}
        parts = torch.split(phi_NK, [len(root) for root in self._roots], dim=1)
        multiplied = []
        for part_NK, root_KK in zip(parts, self._roots, strict=True):
            halved_NK = part_NK @ root_KK.to(part_NK).T
            multiplied.append(halved_NK if power == -0.5 else halved_NK @ root_KK.to(part_NK))
        return torch.cat(multiplied, dim=1)
