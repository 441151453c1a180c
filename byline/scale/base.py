"""The interface of scales: statistics, and the scaling of gradients on either side.

A scale acts in the space of the parameters, before the projection, where optimizers act too.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from byline.curvature.base import Statistic
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients
from byline.types import State


class Scaler(Protocol):
    """A fitted scale."""

    def train(self, gradients: BatchGradients) -> BatchGradients:
        """Scale training points' gradients."""

    def query(self, gradients: BatchGradients) -> BatchGradients:
        """Scale queries' gradients."""


class NoScale(BaseModel):
    """The identity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    linear: ClassVar[bool] = True
    """True where scaling is linear, and the same on both sides."""
    uses_moments: ClassVar[bool] = False
    """True where the scale reads a checkpoint's optimizer state."""
    kind: Literal["none"] = "none"

    def statistics(self, blocks: Sequence[Block], given: State | None) -> tuple[Statistic, ...]:
        """Return no statistic: nothing is fitted."""
        del blocks, given
        return ()

    def scaler(self, state: State) -> Scaler:
        """Make the identity."""
        del state
        return _AsItIs()


class _AsItIs:
    def train(self, gradients: BatchGradients) -> BatchGradients:
        return gradients

    def query(self, gradients: BatchGradients) -> BatchGradients:
        return gradients
