"""No projection: the whole gradient, for small models and as the reference of the others."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from byline.gradients.blocks import Block
from byline.gradients.factors import BatchGradients
from byline.projection.base import State


class IdentityProjection(BaseModel):
    """The gradient as it is: as many numbers as parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["identity"] = "identity"

    def projector(self, blocks: Sequence[Block], state: State) -> "IdentityProjector":
        """Make it ready for a model's blocks."""
        del state
        return IdentityProjector({b.name: b.rows * b.columns for b in blocks})


class IdentityProjector:
    """Writes every block out, one after the other."""

    def __init__(self, widths: Mapping[str, int]) -> None:
        self.widths = widths

    def __call__(self, gradients: BatchGradients) -> Tensor:
        """phi_NP: the gradients themselves."""
        return gradients.dense()
