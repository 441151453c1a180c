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
from byline.projection.sizes import largest_fitting
from byline.randomness import random_signs, stream_key
from byline.types import State


class FactorisedProjection(BaseModel):
    """Random signs on each side of every block."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["factorised"] = "factorised"
    size_in: int | None = Field(default=None, ge=1, le=1 << 16)
    """Coordinates kept of a layer's input side. None takes 64, or as many as fit where there are many layers."""
    size_out: int | None = Field(default=None, ge=1, le=1 << 16)
    """Coordinates kept of a layer's output side. None takes 32, or as many as fit."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Names the projection. The same on every device."""

    def projector(self, blocks: Sequence[Block], state: State) -> "FactorisedProjector":
        """Make it ready for a model's blocks."""
        del state
        sizes = self.sizes(blocks)
        sides = {
            b.name: (
                _basis(b.rows, sizes["size_out"], stream_key(self.seed, "factorised", b.name, "out")),
                _basis(b.columns, sizes["size_in"], stream_key(self.seed, "factorised", b.name, "in")),
            )
            for b in blocks
        }
        return FactorisedProjector(sides)

    def sizes(self, blocks: Sequence[Block]) -> dict[str, int]:
        """Choose the sizes that are not set: halved in turn, until one matrix a layer fits in memory."""
        given = (self.size_in, self.size_out)

        def widths(sizes: tuple[int, int]) -> list[int]:
            return [min(b.columns, sizes[0]) * min(b.rows, sizes[1]) for b in blocks]

        def smaller(sizes: tuple[int, int]) -> tuple[int, int]:
            free = [side for side in (0, 1) if given[side] is None and sizes[side] > 1]
            if not free:
                return sizes
            halved = max(free, key=lambda side: (sizes[side], side))  # of equal sides the output's
            return (sizes[0] // 2, sizes[1]) if halved == 0 else (sizes[0], sizes[1] // 2)

        size_in, size_out = largest_fitting((given[0] or _SIZES[0], given[1] or _SIZES[1]), widths, smaller)
        return {"size_in": size_in, "size_out": size_out}


_SIZES = (64, 32)
"""Coordinates of the input and the output side where memory allows."""


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
