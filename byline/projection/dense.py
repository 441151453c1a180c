"""Dense random signs (Rademacher) or normal numbers (Gaussian): the classical Johnson-Lindenstrauss projections.

phi = G S / sqrt(K), S in {-1, +1}^{P x K} or standard normal. S is drawn again, chunk by chunk, whenever it is needed:
memory does not depend on P x K, time does. For models of more than a few hundred thousand parameters use `sjlt`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients, KroneckerGradient
from byline.randomness import random_normals, random_signs, stream_key
from byline.types import State

CHUNK = 1 << 22
"""Numbers of a gradient, or of the sign matrix, that are in memory at a time."""


class DenseProjection(BaseModel):
    """A dense random matrix."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["dense"] = "dense"
    size: int = Field(default=1024, ge=1, le=1 << 20)
    """Numbers a stored vector has, for each member. More is closer to the whole gradient."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Names the projection. The same on every device."""
    entries: Literal["rademacher", "gaussian"] = "rademacher"
    """Random signs, or standard normal numbers, which are slower and no more accurate."""

    def projector(self, blocks: Sequence[Block], state: State) -> "DenseProjector":
        """Make it ready for a model's blocks."""
        del state
        return DenseProjector(blocks, self)


class DenseProjector:
    """Multiplies by numbers that are hashed from their position."""

    def __init__(self, blocks: Sequence[Block], options: DenseProjection) -> None:
        self.widths: Mapping[str, int] = {"all": options.size}
        self._keys = {b.name: stream_key(options.seed, "dense", b.name) for b in blocks}
        self._size = options.size
        self._draw = random_signs if options.entries == "rademacher" else random_normals

    def __call__(self, gradients: BatchGradients) -> Tensor:
        """phi_NK."""
        phi_NK = gradients.objective_N.new_zeros(len(gradients), self._size)
        for name, gradient in gradients.blocks.items():
            for start, part_NP in chunks(gradient, len(gradients), self._size):
                drawn_PK = self._draw(self._keys[name], start, part_NP.shape[1], self._size, part_NP.device)
                phi_NK += part_NP @ drawn_PK.to(part_NP.dtype)
        return phi_NK.mul_(self._size**-0.5)


def chunks(gradient: KroneckerGradient, count: int, size: int = 1) -> Iterator[tuple[int, Tensor]]:
    """Write a block's gradients out in stretches of whole rows that fit in memory.

    Args:
        gradient: One block.
        count: N.
        size: Numbers that the consumer holds for each parameter of a stretch.

    Yields:
        (position of the stretch in the flattened block, gradients [N, P] of the stretch).
    """
    rows, columns = gradient.shape
    step = max(1, CHUNK // (columns * max(count, size)))
    if step >= rows:
        yield 0, gradient.dense().flatten(1)
        return
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        yield start * columns, torch.flatten(gradient.rows(start, stop), 1)
