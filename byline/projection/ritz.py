"""Coordinates along the curvature matrix's own strongest directions, whole vectors of all parameters.

phi = G V^T with the Ritz vectors V that a fit of curvature `arnoldi` found (`byline.curvature.arnoldi`).

Shapes: N examples, K Ritz vectors, P numbers of all parameters together.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients
from byline.projection.dense import chunks
from byline.types import State

VECTORS = "ritz.vectors"
"""Name in the state: float32 [K, P], block after block."""


class RitzProjection(BaseModel):
    """The strongest directions of a curvature matrix. A state holds `size` times as many numbers as the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["ritz"] = "ritz"
    size: int = Field(default=64, ge=1, le=1 << 14)
    """Numbers a stored vector has at most, for each member: directions whose curvature is not positive are left out."""

    def projector(self, blocks: Sequence[Block], state: State) -> "RitzProjector":
        """Make it ready for a model's blocks, from the state of a fit."""
        return RitzProjector(blocks, state[VECTORS])


class RitzProjector:
    """Multiplies whole gradients by the Ritz vectors, stretch by stretch."""

    def __init__(self, blocks: Sequence[Block], vectors_KP: Tensor) -> None:
        self._vectors_KP = vectors_KP
        self.widths: Mapping[str, int] = {"all": len(vectors_KP)}
        self._starts: dict[str, int] = {}
        place = 0
        for block in blocks:
            self._starts[block.name] = place
            place += block.rows * block.columns

    def __call__(self, gradients: BatchGradients) -> Tensor:
        """phi_NK."""
        count, size = len(gradients), len(self._vectors_KP)
        phi_NK = gradients.objective_N.new_zeros(count, size)
        for name, gradient in gradients.blocks.items():
            for start, part_NP in chunks(gradient, count, size):
                first = self._starts[name] + start
                vectors_KP = self._vectors_KP[:, first : first + part_NP.shape[1]]
                phi_NK += part_NP @ vectors_KP.T.to(part_NP)
        return phi_NK
