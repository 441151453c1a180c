"""Factorised random projection (LoGra, Choe et al. 2024): the gradient itself is never formed.

phi_block = sum_t (P_o b_t) (P_i a_t)^T: k_o x k_i numbers a block from two small projections. A side that is
no wider than its k is kept as it is.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import Basis, BatchGradients, CoordinateBasis, MatrixBasis
from byline.randomness import random_signs, stream_key
from byline.types import State


class FactorisedProjection(BaseModel):
    """Random signs on each side of every block."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["factorised"] = "factorised"
    size_in: int = Field(default=64, ge=1, le=1 << 16)
    """Coordinates kept of a layer's input side."""
    size_out: int = Field(default=32, ge=1, le=1 << 16)
    """Coordinates kept of a layer's output side."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Names the projection. The same on every device."""

    def projector(self, blocks: Sequence[Block], state: State) -> "FactorisedProjector":
        """Make it ready for a model's blocks."""
        del state
        sides = {
            b.name: (
                _basis(b.rows, self.size_out, stream_key(self.seed, "factorised", b.name, "out")),
                _basis(b.columns, self.size_in, stream_key(self.seed, "factorised", b.name, "in")),
            )
            for b in blocks
        }
        return FactorisedProjector(sides)


def _basis(width: int, size: int, key: int) -> Basis:
    if width <= size:
        return CoordinateBasis(torch.arange(width))
    return MatrixBasis(random_signs(key, 0, width, size, torch.device("cpu")) / size**0.5)


class FactorisedProjector:
    """Projects both factors of every block and multiplies the results."""

    def __init__(self, sides: Mapping[str, tuple[Basis, Basis]]) -> None:
        self._sides = sides
        self.widths: Mapping[str, int] = {n: left.size * right.size for n, (left, right) in sides.items()}

    def __call__(self, gradients: BatchGradients) -> Tensor:
        """phi_NK, block after block."""
        parts = [gradients.blocks[name].project(*sides).flatten(1) for name, sides in self._sides.items()]
        return torch.cat(parts, dim=1)
