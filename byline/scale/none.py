"""No scale: gradients as they are."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from byline.curvature.base import Statistic
from byline.gradients.blocks import Block
from byline.gradients.factors import BatchGradients
from byline.projection.base import State
from byline.scale.base import Scaler


class NoScale(BaseModel):
    """The identity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    linear: ClassVar[bool] = True
    """Whether a sum of gradients becomes the sum of what they become, on both sides alike."""
    uses_moments: ClassVar[bool] = False
    """Whether a checkpoint's optimiser state is read."""
    kind: Literal["none"] = "none"

    def statistics(self, blocks: Sequence[Block], given: State | None) -> tuple[Statistic, ...]:
        """Nothing to fit."""
        del blocks, given
        return ()

    def scaler(self, state: State) -> Scaler:
        """Leaves every gradient as it is."""
        del state
        return _AsItIs()


class _AsItIs:
    def train(self, gradients: BatchGradients) -> BatchGradients:
        return gradients

    def query(self, gradients: BatchGradients) -> BatchGradients:
        return gradients
