"""No curvature: scores are plain inner products of gradients."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from byline.curvature.base import Preconditioner, Statistic
from byline.gradients.blocks import Block
from byline.projection.base import ProjectionSpec, State


class NoCurvature(BaseModel):
    """The identity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["none"] = "none"

    def statistics(self, blocks: Sequence[Block], projection: ProjectionSpec) -> tuple[Statistic, ...]:
        """Nothing to fit."""
        del blocks, projection
        return ()

    def preconditioner(self, state: State) -> Preconditioner:
        """Leaves every vector as it is."""
        del state
        return _as_it_is


def _as_it_is(phi_NK: Tensor, power: float) -> Tensor:
    del power
    return phi_NK
