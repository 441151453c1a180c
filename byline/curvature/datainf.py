"""DataInf (Kwon et al. 2023), as the fixed matrix that it is.

Per layer l of d_l numbers, with lam_l = damping * mean_i |g_li|^2 / d_l:

    H_l^-1 ~ (1/n) sum_i (lam_l I + g_li g_li^T)^-1 = (1/(n lam_l)) sum_i (I - g_li g_li^T / (lam_l + |g_li|^2))

The inverse of the mean is replaced by the mean of the inverses, each of which Sherman and Morrison's formula gives. The
sum does not depend on the query, so it is fitted once. It is symmetric and positive definite.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from byline.curvature.base import EveryFit, Preconditioner, Source, Statistic
from byline.curvature.linalg import (
    EigenPreconditioner,
    eigendecompose,
    eigenpairs,
    refuse_too_wide,
    replace_zeros,
)
from byline.curvature.sums import LazySums, Sums
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients
from byline.progress import count_items
from byline.projection.base import ProjectionSpec
from byline.types import State


class DataInf(BaseModel):
    """Mean of the inverses of single examples' damped Fisher matrices, by layer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["datainf"] = "datainf"
    damping: float = Field(default=0.1, gt=0, le=1e6)
    """Damping, in units of each layer's mean squared gradient entry."""
    sample: int | None = Field(default=None, ge=1)
    """Training points that the matrix is fitted on, drawn at random. None takes all."""
    labels: Literal["given", "sampled"] = "given"
    """Labels of the gradients: the data's, or draws of the model. A matrix of single gradients has no form
    over all classes."""

    def statistics(self, blocks: Sequence[Block], projection: ProjectionSpec) -> tuple[Statistic, ...]:
        """List the mean squared lengths, which damp, then the matrices.

        Raises:
            InvalidRecipe: A matrix would be too large.
        """
        widths = projection.projector(blocks, {}).widths
        refuse_too_wide(max(widths.values()))
        return LengthStatistic(widths, self), SingleInverseStatistic(widths, self)

    def preconditioner(self, state: State) -> Preconditioner:
        """Rotate into the matrices' eigenbasis: H = lam / (1 - m) for an eigenvalue m of the sum."""
        lams = state["datainf.damping"]
        pairs = zip(eigenpairs(state), lams, strict=True)
        return EigenPreconditioner(
            [(vectors, lam / (1 - values).clamp_min(1e-12)) for (vectors, values), lam in pairs]
        )


class LengthStatistic(EveryFit):
    """Mean squared length of each layer's gradients."""

    name = "lengths"
    source: Source = "projected"

    def __init__(self, widths: Mapping[str, int], options: DataInf) -> None:
        self._widths, self._damping = widths, options.damping
        self.sample, self.labels = options.sample, options.labels

    def measure(self, batch: BatchGradients | Tensor, state: State) -> State:
        """Compute the sum of squares of every layer."""
        del state
        assert isinstance(batch, Tensor)
        parts = torch.split(batch.double(), list(self._widths.values()), dim=1)
        return {"squares": torch.stack([part.square().sum() for part in parts])}

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Compute the damping of every layer."""
        del state
        widths = torch.tensor(list(self._widths.values()), device=sums["squares"].device)
        return {"datainf.damping": self._damping * replace_zeros(sums["squares"] / count / widths)}


class SingleInverseStatistic(EveryFit):
    """Sum of g g^T / (lam + |g|^2) of every layer."""

    name = "inverses"
    source: Source = "projected"

    def __init__(self, widths: Mapping[str, int], options: DataInf) -> None:
        self._widths = widths
        self.sample, self.labels = options.sample, options.labels

    def measure(self, batch: BatchGradients | Tensor, state: State) -> Sums:
        """Compute the part of one batch."""
        assert isinstance(batch, Tensor)
        parts = torch.split(batch, list(self._widths.values()), dim=1)
        layers = zip(self._widths, parts, state["datainf.damping"].to(batch.device), strict=True)
        return LazySums([([name], partial(_weighted, name, part_NK, lam)) for name, part_NK, lam in layers])

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Compute the eigenvectors and eigenvalues of the mean."""
        del state
        return eigendecompose(sums[name] / count for name in count_items(None, self._widths))


def _weighted(name: str, part_NK: Tensor, lam: Tensor) -> State:
    exact_NK = part_NK.double()
    scaled_NK = exact_NK / (lam + exact_NK.square().sum(dim=1, keepdim=True))
    return {name: exact_NK.T @ scaled_NK}
