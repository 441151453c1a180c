"""Sparse Johnson-Lindenstrauss transform (Kane & Nelson 2014), in plain torch.

Every parameter goes with a random sign to `nonzeros` random coordinates: phi = G S / sqrt(nonzeros), S with
`nonzeros` entries a row. S is hashed again from the parameters' positions whenever it is needed.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from byline.gradients.blocks import Block
from byline.gradients.factors import BatchGradients
from byline.projection.base import State
from byline.projection.dense import chunks
from byline.randomness import random_bits, random_integers, stream_key


class SjltProjection(BaseModel):
    """Sparse random signs: fast at any number of parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sjlt"] = "sjlt"
    size: int = Field(default=4096, ge=1, le=1 << 20)
    """Numbers a stored vector has, for each member."""
    nonzeros: int = Field(default=1, ge=1, le=16)
    """Coordinates that each parameter is added to: more is a little more accurate, and as much slower."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Names the projection; the same on every device."""

    def projector(self, blocks: Sequence[Block], state: State) -> "SjltProjector":
        """Make it ready for a model's blocks."""
        del blocks, state
        return SjltProjector(self)


class SjltProjector:
    """Adds every parameter's gradient to its coordinates."""

    def __init__(self, options: SjltProjection) -> None:
        self.widths: Mapping[str, int] = {"all": options.size}
        self._options = options

    def __call__(self, gradients: BatchGradients) -> Tensor:
        """phi_NK."""
        phi_NK = gradients.objective_N.new_zeros(len(gradients), self._options.size)
        for name, gradient in gradients.blocks.items():
            for start, part_NP in chunks(gradient, len(gradients)):
                for nonzero in range(self._options.nonzeros):
                    key = stream_key(self._options.seed, "sjlt", name, nonzero)
                    add_hashed(phi_NK, part_NP, key, start)
        return phi_NK.mul_(self._options.nonzeros**-0.5)


def add_hashed(phi_NK: Tensor, part_NP: Tensor, key: int, start: int = 0) -> None:
    """Add every number to a random coordinate with a random sign, in place.

    Args:
        phi_NK: What is added to.
        part_NP: A stretch of P numbers of N examples.
        key: Names the coordinates and signs.
        start: Position of the stretch's first number, which with the key decides where it goes.
    """
    counters_P = torch.arange(start, start + part_NP.shape[1], dtype=torch.int64, device=part_NP.device)
    target_P = random_integers(key, counters_P, phi_NK.shape[1])
    sign_P = (random_bits(key, ~counters_P) & 1).to(part_NP.dtype) * 2 - 1
    phi_NK.index_add_(1, target_P, part_NP * sign_P)
