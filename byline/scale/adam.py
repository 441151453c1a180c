"""Adam's update direction of a single training point (LESS, Xia et al. 2024).

    Gamma_i = m / (sqrt(v) + epsilon),  m = beta1 exp_avg + (1 - beta1) g_i,  v = beta2 exp_avg_sq + (1 - beta2) g_i^2

with the checkpoint's moments: the step that training on the point alone would take from there. Queries keep their
gradients, so a score is how much the step lowers the query's loss, to first order. The corrections for the moments'
start at zero multiply all points alike and are left out, as in LESS's code (which has epsilon inside the root).
"""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from byline.curvature.base import Statistic
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients, KroneckerGradient
from byline.scale.base import Scaler
from byline.scale.lazy import EntrywiseGradient, map_blocks
from byline.scale.moments import FIRST, SECOND, moment_statistics
from byline.types import State


class AdamDirection(BaseModel):
    """Adam's direction for training points, plain gradients for queries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    linear: ClassVar[bool] = False
    """The direction of a sum of gradients is not the sum of their directions."""
    uses_moments: ClassVar[bool] = True
    """Reads `Checkpoint.optimizer_state`."""
    kind: Literal["adam"] = "adam"
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Weight of the mean gradient in the direction. 0 leaves the point's own gradient."""
    beta2: float = Field(default=0.999, ge=0, lt=1)
    """Weight of the checkpoint's second moment."""
    epsilon: float = Field(default=1e-8, gt=0, le=1)
    """Added to the root of the second moment, as in Adam."""
    sample: int | None = Field(default=None, ge=1)
    """Training points that missing moments are estimated from, drawn at random. None takes all."""

    def statistics(self, blocks: Sequence[Block], given: State | None) -> tuple[Statistic, ...]:
        """List the moments, where they are not given."""
        return moment_statistics(blocks, self.sample, given)

    def scaler(self, state: State) -> Scaler:
        """Take the moments from the state."""
        return _AdamScaler(self, state)


class _AdamScaler:
    def __init__(self, options: AdamDirection, state: State) -> None:
        self._options, self._state = options, state

    def train(self, gradients: BatchGradients) -> BatchGradients:
        return map_blocks(gradients, self._direction)

    def query(self, gradients: BatchGradients) -> BatchGradients:
        return gradients

    def _direction(self, name: str, gradient: KroneckerGradient) -> KroneckerGradient:
        tables = [self._state[f"{name}.{moment}"] for moment in (FIRST, SECOND)]
        return EntrywiseGradient(gradient.uses, partial(direction, self._options), tables)


def direction(options: AdamDirection, grads: Tensor, exp_avg: Tensor, exp_avg_sq: Tensor) -> Tensor:
    """Compute Adam's direction, entry by entry.

    Args:
        options: The betas and epsilon.
        grads: Entries of gradients, [N, ...].
        exp_avg: Their first moments, [...].
        exp_avg_sq: Their second moments, [...].

    Returns:
        Entries of the directions, [N, ...].
    """
    first = options.beta1 * exp_avg.to(grads) + (1 - options.beta1) * grads
    second = options.beta2 * exp_avg_sq.to(grads) + (1 - options.beta2) * grads.square()
    return first / (second.sqrt() + options.epsilon)
