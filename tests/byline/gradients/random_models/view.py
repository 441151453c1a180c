"""How a random model holds a batch, and how its parts see one layout as another.

Shapes: N examples, T positions, V all positions of all examples, D features. A state is [N, D] for vectors,
[N, T, D], [T, N, D] or [N T, D] for sequences, and [V, D] for packed ones.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Layout = Literal["vectors", "first", "second", "frames", "packed"]
LAYOUTS: tuple[Layout, ...] = ("vectors", "first", "second", "frames", "packed")


@dataclass(frozen=True, kw_only=True)
class View:
    """A batch without its features."""

    layout: Layout
    count: int
    """N."""
    mask_NT: Tensor
    """True where an example has a position; T = 1 for vectors."""
    kind_N: Tensor
    """Which of three kinds an example is: what some parts branch by."""

    @property
    def length(self) -> int:
        """T."""
        return self.mask_NT.shape[1]

    @property
    def ragged(self) -> bool:
        """Whether some position is padding."""
        return not bool(self.mask_NT.all())

    def grid(self, state: Tensor) -> Tensor:
        """Any state as [N, T, D]."""
        if self.layout == "vectors":
            return state[:, None]
        if self.layout == "second":
            return state.transpose(0, 1)
        if self.layout == "frames":
            return state.unflatten(0, (self.count, self.length))
        if self.layout == "packed":
            empty = state.new_zeros(self.count, self.length, state.shape[-1])
            return empty.index_put(self.mask_NT.nonzero(as_tuple=True), state)
        return state

    def back(self, grid_NTD: Tensor) -> Tensor:
        """[N, T, D] as a state."""
        if self.layout == "vectors":
            return grid_NTD[:, 0]
        if self.layout == "second":
            return grid_NTD.transpose(0, 1)
        if self.layout == "frames":
            return grid_NTD.flatten(0, 1)
        return grid_NTD[self.mask_NT] if self.layout == "packed" else grid_NTD

    def spread(self, values: Tensor) -> Tensor:
        """A number or a vector of each example, [N, ...], beside each of its positions in the state."""
        if self.layout == "vectors":
            return values
        return self.back(values[:, None].expand(-1, self.length, *values.shape[1:]))

    def pool(self, state: Tensor) -> Tensor:
        """The mean of each example's own positions: [N, D]."""
        mask_NT1 = self.mask_NT[..., None].to(state.dtype)
        return (self.grid(state) * mask_NT1).sum(1) / mask_NT1.sum(1)

    def first_axis(self) -> int:
        """The axis of the state that the batch runs along, or is part of."""
        return 1 if self.layout == "second" else 0


def lengths_mask(lengths_N: Tensor) -> Tensor:
    """Bool [N, T] from lengths."""
    return torch.arange(int(lengths_N.max()))[None] < lengths_N[:, None]
