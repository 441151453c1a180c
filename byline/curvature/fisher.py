"""The Fisher matrix of projected gradients, whole or by layer.

F = (1/n) sum_i phi_i phi_i^T = U diag(s) U^T, phi_i at the training labels, at draws of the model, or over all classes;
a feature is phi U (s + damping * mean(s))^power. (TRAK, Park et al. 2023, with a damping, since F is singular where
n < k; LoGra, Choe et al. 2024, by layer.)

With an evaluation set F = e F_eval + (1 - e) F_train, F_eval of its gradients as queries: directions that all queries share
weigh less then. (TrackStar, Chang et al. 2024, whose lambda is e.)
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from byline.curvature.base import SCRATCH, Preconditioner, Source, Statistic
from byline.curvature.labels import Labels
from byline.gradients.blocks import Block
from byline.gradients.factors import BatchGradients
from byline.projection.base import ProjectionSpec, State


class Fisher(BaseModel):
    """Fisher matrix of the projected gradients."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["fisher"] = "fisher"
    blocks: Literal["joint", "layer"] = "joint"
    """One matrix over all k numbers, or one for each layer (needs a projection that keeps layers apart)."""
    damping: float = Field(default=1.0, gt=0, le=1e6)
    """In units of the mean eigenvalue. Matters a lot here: choose it on held-out queries."""
    sample: int | None = Field(default=None, ge=1)
    """Training points that the matrix is fitted on, drawn at random; None takes all."""

    labels: Labels = "given"
    """Whose labels the gradients are taken at: the data's, draws of the model, or all classes (the exact GGN)."""
    evaluation: float = Field(default=0.0, ge=0, lt=1)
    """Share of the matrix that is of the Task's evaluation set, as queries; the rest is of training points."""

    def statistics(self, blocks: Sequence[Block], projection: ProjectionSpec) -> tuple[Statistic, ...]:
        """One pass over the projected gradients; before it one over the evaluation set's, if they have a share."""
        widths = projection.projector(blocks, {}).widths
        if self.blocks == "joint":
            widths = {"all": sum(widths.values())}
        fisher = FisherStatistic(widths, self)
        return (EvaluationStatistic(widths), fisher) if self.evaluation else (fisher,)

    def preconditioner(self, state: State) -> Preconditioner:
        """Rotate into the eigenbasis and scale."""
        return EigenPreconditioner(
            [(vectors, _damped(values, self.damping)) for vectors, values in eigenpairs(state)]
        )


def eigenpairs(state: State) -> list[tuple[Tensor, Tensor]]:
    """Read eigenvectors and eigenvalues, in the order of the blocks."""
    names = [key.removesuffix(".vectors") for key in state if key.endswith(".vectors")]
    return [(state[f"{name}.vectors"], state[f"{name}.values"]) for name in names]


def _damped(values: Tensor, damping: float) -> Tensor:
    return values + damping * values.mean().clamp_min(1e-30)


class FisherStatistic:
    """Sums of outer products of projected gradients."""

    name = "fisher"
    source: Source = "projected"

    def __init__(self, widths: Mapping[str, int], options: Fisher) -> None:
        self._widths = widths
        self.sample, self.labels = options.sample, options.labels
        self._evaluation = options.evaluation

    def needed(self, rows: int) -> bool:
        """Always."""
        del rows
        return True

    def measure(self, batch: BatchGradients | Tensor, state: State) -> State:
        """phi^T phi of every block."""
        del state
        return _outer_products(batch, self._widths)

    def finish(self, sums: State, count: int, state: State) -> State:
        """Eigenvectors (float32) and eigenvalues of the mean, in the order of the blocks."""
        share = self._evaluation
        means = {name: sums[name] / count for name in self._widths}
        if share:
            means = {n: share * state[f"{EVALUATED}{n}"] + (1 - share) * mean for n, mean in means.items()}
        return eigendecomposed([means[name] for name in self._widths])


EVALUATED = f"{SCRATCH}evaluation."


class EvaluationStatistic:
    """Mean outer products of the evaluation set's projected gradients."""

    name = "evaluation"
    source: Source = "evaluation"
    sample = None
    labels: Labels = "given"

    def __init__(self, widths: Mapping[str, int]) -> None:
        self._widths = widths

    def needed(self, rows: int) -> bool:
        """Always."""
        del rows
        return True

    def measure(self, batch: BatchGradients | Tensor, state: State) -> State:
        """phi^T phi of every block."""
        del state
        return _outer_products(batch, self._widths)

    def finish(self, sums: State, count: int, state: State) -> State:
        """The means, for the Fisher matrix to be mixed with."""
        del state
        return {f"{EVALUATED}{name}": total / count for name, total in sums.items()}


def _outer_products(batch: BatchGradients | Tensor, widths: Mapping[str, int]) -> State:
    assert isinstance(batch, Tensor)
    parts = torch.split(batch.double(), list(widths.values()), dim=1)
    return {name: part.T @ part for name, part in zip(widths, parts, strict=True)}


def eigendecomposed(matrices: Sequence[Tensor]) -> State:
    """Eigenvectors (float32) and eigenvalues of symmetric matrices, as `eigenpairs` reads them."""
    fitted: State = {}
    for place, matrix in enumerate(matrices):
        values, vectors = torch.linalg.eigh(matrix)
        # safetensors keeps names sorted, so the order of the blocks is part of the name.
        fitted[f"fisher.{place:05d}.values"] = values.clamp_min(0)
        fitted[f"fisher.{place:05d}.vectors"] = vectors.float().contiguous()
    return fitted


class EigenPreconditioner:
    """Powers of a damped matrix, block by block, in its eigenbasis."""

    def __init__(self, blocks: Sequence[tuple[Tensor, Tensor]]) -> None:
        self._vectors = [vectors for vectors, _ in blocks]
        self._damped = [damped for _, damped in blocks]

    def __call__(self, phi_NK: Tensor, power: float) -> Tensor:
        """Every row rotated and scaled, block by block."""
        parts = torch.split(phi_NK, [v.shape[0] for v in self._vectors], dim=1)
        scaled = [
            part @ vectors.to(part) * damped.pow(power).to(part)
            for part, vectors, damped in zip(parts, self._vectors, self._damped, strict=True)
        ]
        return torch.cat(scaled, dim=1)
