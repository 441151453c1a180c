"""The interface of projections: from a batch's gradients to k numbers an example.

Shapes: N examples, K numbers of a feature.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients
from byline.types import State


class Projector(Protocol):
    """A projection that knows the model's blocks and is ready to run."""

    @property
    def widths(self) -> Mapping[str, int]:
        """Numbers for each block, in the order of the vector. One entry `"all"` where blocks are mixed."""

    def __call__(self, gradients: BatchGradients) -> Tensor:
        """Project a batch to phi_NK, in the gradients' precision."""


class ProjectionSpec(Protocol):
    """A row of configuration that names a projection."""

    def projector(self, blocks: Sequence[Block], state: State) -> Projector:
        """Make it ready for a model's blocks. `state` is what the curvature's fit left, or empty."""


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
