"""How large items are before they are collated: whether a batch of them is padded."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from byline.task import Item

MOST_PARTS = 16
"""Parts of a list that are looked at one by one; a longer list is a sequence, whose length counts."""
Shape = Any
"""Nested tuples of numbers; equal for items that need no padding beside each other."""


def item_shape(item: Item) -> Shape:
    """The shapes of an item's tensors and the lengths of its sequences."""
    if isinstance(item, Tensor) or hasattr(item, "__array_interface__"):
        return tuple(item.shape)
    if isinstance(item, str | bytes):
        return len(item)
    if isinstance(item, Mapping):
        return tuple(item_shape(part) for part in item.values())
    if isinstance(item, list | tuple):
        if len(item) > MOST_PARTS or all(isinstance(part, int | float) for part in item):
            return len(item)
        return tuple(item_shape(part) for part in item)
    return (
        tuple(item_shape(part) for part in vars(item).values())
        if hasattr(item, "__dataclass_fields__")
        else None
    )


def size(shape: Shape) -> int:
    """All numbers of a shape added up: what orders items by their length."""
    if isinstance(shape, tuple):
        return sum(map(size, shape))
    return shape if isinstance(shape, int) else 0


def shortest(items: Sequence[Item]) -> int | None:
    """The place of the shortest of some items; None where all have the same shape."""
    shapes = [item_shape(item) for item in items]
    if all(shape == shapes[0] for shape in shapes):
        return None
    return min(range(len(items)), key=lambda place: size(shapes[place]))
