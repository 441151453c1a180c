"""Sparse Johnson-Lindenstrauss transform (Kane & Nelson 2014), in plain torch.

Every parameter goes with a random sign to `nonzeros` random coordinates: phi = G S / sqrt(nonzeros), S with
`nonzeros` entries a row. S is hashed from the parameters' positions: for small models once, else whenever it is needed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients
from byline.projection.dense import chunks
from byline.randomness import random_bits, random_integers, stream_key
from byline.types import State

KEPT = 1 << 21
"""Entries of S that a projector keeps, 12 bytes each. The others are hashed again for every batch."""


class SjltProjection(BaseModel):
    """Sparse random signs: fast at any number of parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sjlt"] = "sjlt"
    size: int = Field(default=4096, ge=1, le=1 << 20)
    """Numbers a stored vector has, for each member."""
    nonzeros: int = Field(default=1, ge=1, le=16)
    """Coordinates that each parameter is added to: more is a little more accurate, and as much slower."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Names the projection. The same on every device."""

    def projector(self, blocks: Sequence[Block], state: State) -> "SjltProjector":
        """Make it ready for a model's blocks."""
        del blocks, state
        return SjltProjector(self)


class SjltProjector:
    """Adds every parameter's gradient to its coordinates."""

    def __init__(self, options: SjltProjection) -> None:
        self.widths: Mapping[str, int] = {"all": options.size}
        self._options = options
        self._kept: dict[tuple[int, torch.device], Hashed] = {}
        self._room = KEPT

    def __call__(self, gradients: BatchGradients) -> Tensor:
        """phi_NK."""
        phi_NK = gradients.objective_N.new_zeros(len(gradients), self._options.size)
        for name, gradient in gradients.blocks.items():
            numbers = gradient.shape[0] * gradient.shape[1]
            for start, part_NP in chunks(gradient, len(gradients)):
                for nonzero in range(self._options.nonzeros):
                    key = stream_key(self._options.seed, "sjlt", name, nonzero)
                    hashed = self._hashed(key, numbers, slice(start, start + part_NP.shape[1]), phi_NK)
                    hashed.add(phi_NK, part_NP)
        return phi_NK.mul_(self._options.nonzeros**-0.5)

    def _hashed(self, key: int, numbers: int, stretch: slice, phi_NK: Tensor) -> "Hashed":
        whole = self._kept.get((key, phi_NK.device))
        if whole is None and numbers <= self._room:
            self._room -= numbers
            whole = Hashed.of(key, 0, numbers, phi_NK)
            self._kept[key, phi_NK.device] = whole
        if whole is not None:
            return Hashed(whole.target_P[stretch], whole.sign_P[stretch])
        return Hashed.of(key, stretch.start, stretch.stop - stretch.start, phi_NK)


@dataclass(frozen=True)
class Hashed:
    """Target coordinates and signs of P numbers."""

    target_P: Tensor
    sign_P: Tensor

    @classmethod
    def of(cls, key: int, start: int, numbers: int, phi_NK: Tensor) -> Self:
        """Hash a stretch of positions.

        Args:
            key: Names the coordinates and signs.
            start: Position of the stretch's first number, which with the key decides where it goes.
            numbers: P.
            phi_NK: The features that numbers will be added to.

        Returns:
            Coordinates, and signs of the kind that is added to.
        """
        counters_P = torch.arange(start, start + numbers, dtype=torch.int64, device=phi_NK.device)
        target_P = random_integers(key, counters_P, phi_NK.shape[1])
        return cls(target_P, (random_bits(key, ~counters_P) & 1).to(phi_NK.dtype) * 2 - 1)

    def add(self, phi_NK: Tensor, part_NP: Tensor) -> None:
        """Add every number to its coordinate with its sign, in place."""
        phi_NK.index_add_(1, self.target_P, part_NP * self.sign_P.to(part_NP.dtype))


def add_hashed(phi_NK: Tensor, part_NP: Tensor, key: int, start: int = 0) -> None:
    """Add every number to a random coordinate with a random sign, in place.

    Args:
        phi_NK: The features that numbers are added to.
        part_NP: A stretch of P numbers of N examples.
        key: Names the coordinates and signs.
        start: Position of the stretch's first number, which with the key decides where it goes.
    """
    Hashed.of(key, start, part_NP.shape[1], phi_NK).add(phi_NK, part_NP)
