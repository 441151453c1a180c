"""The layout of a batch in a tensor: the axis that runs over the examples.

Learnt from batches of two and three examples. A tensor whose batches contradict one another has no layout.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

LayoutKind = Literal["own", "major", "minor", "shared", "unreached"]


@dataclass(frozen=True)
class Layout:
    """The place of a batch's examples in a tensor."""

    axis: int = 0
    kind: LayoutKind = "own"
    """The axis is N; it is N x positions, example by example; positions x N; the tensor has no part for each example; it
    has none, and no value depends on it."""

    def fits(self, shape: Sequence[int], count: int) -> bool:
        """Tell whether a tensor of N examples may have this shape."""
        if self.kind == "shared":
            return True
        if self.kind == "unreached":
            return False
        if self.axis >= len(shape):
            return False
        return shape[self.axis] == count if self.kind == "own" else shape[self.axis] % count == 0

    def part(self, tensor: Tensor, count: int) -> Tensor:
        """Bring the examples to the front: [N, ...], where each slice has the axis of an example alone.

        An axis of N becomes an axis of 1 in its place, an axis of N x positions one of the positions.
        """
        if self.kind == "shared":
            return tensor.expand(count, *tensor.shape)
        size, axis = tensor.shape[self.axis] // count, self.axis
        before, after = tensor.shape[:axis], tensor.shape[axis + 1 :]
        if self.kind == "minor":
            return tensor.reshape(*before, size, count, *after).movedim(axis + 1, 0)
        return tensor.reshape(*before, count, size, *after).movedim(axis, 0)


SHARED, UNREACHED = Layout(kind="shared"), Layout(kind="unreached")


def candidates(two: Sequence[int], three: Sequence[int]) -> Iterator[Layout]:
    """List the layouts that the shapes of the same tensor for two and for three examples allow.

    Yields:
        The likely ones first; none where the shapes have nothing in common.
    """
    if len(two) != len(three):
        return
    sizes = list(enumerate(zip(two, three, strict=True)))
    yield from (Layout(axis) for axis, pair in sizes if pair == (2, 3))
    for axis, (small, large) in sizes:
        if small * 3 == large * 2 and small != 2:
            yield Layout(axis, "major")
            yield Layout(axis, "minor")
    if tuple(two) == tuple(three):
        yield SHARED
