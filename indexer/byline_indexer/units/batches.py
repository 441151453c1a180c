"""Cut items into batches of bounded size: items of like length together, whatever their order in the data.

A batch is padded to its longest item, so its cost is its number of items times that length. What is in a batch follows from
the lengths and bytes of a unit's items alone. Items of one length stay in their order.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from byline.features.sampling import cut_batches
from byline.models.item_passes import MOST_PARTS, item_shape, size
from byline.models.training_points import NamedItems
from byline.types import Rows

WINDOW = 256
"""Items that are read, and sorted by length, together, at most."""
WINDOW_BYTES = 64 << 20
"""Bytes of such items, at most, unless one batch takes more."""


@dataclass(frozen=True)
class BatchLimits:
    """Items and padded cost of a batch, at most."""

    rows: int
    length: int | None = None
    """Items times the cost of the longest. None: only their number counts."""
    square: float = 0.0
    """Cost of an item of length T beyond T itself, divided by T^2: attention that keeps its weights."""

    def cost(self, length: int) -> float:
        """Cost of an item of a length, in units of a short item's length."""
        return length * (1 + self.square * length)

    def fit(self, count: int, longest: int) -> bool:
        """Tell whether so many items, padded to the longest one's length, are one batch."""
        return count <= self.rows and (self.length is None or count * self.cost(longest) <= self.length)


def item_length(item: object) -> int:
    """Measure an item: the numbers that its padding follows, such as its tokens, times a constant of its kind."""
    return max(1, size(item_shape(item)))


def packs(lengths: Sequence[int], limits: BatchLimits) -> Iterator[list[int]]:
    """Put items of like lengths together, the longest first.

    Args:
        lengths: Of the items.
        limits: Of a batch. An item that is longer than that is alone.

    Yields:
        Places in `lengths`.
    """
    pack: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        if pack and not limits.fit(len(pack) + 1, lengths[pack[0]]):
            yield pack
            pack = []
        pack.append(place)
    if pack:
        yield pack


def item_batches(
    rows: Rows, limits: BatchLimits, read: Callable[[Rows], NamedItems]
) -> Iterator[tuple[Rows, NamedItems]]:
    """Read items and put them into batches.

    Args:
        rows: Row numbers.
        limits: Of a batch.
        read: Reads the items of a few rows.

    Yields:
        The rows of a batch, and their items.
    """
    for window, items in _windows(rows, limits, read):
        lengths = [item_length(item) for item in items]
        batches = packs(lengths, limits)
        for pack in batches if len(set(lengths)) == 1 else _mixed(list(batches)):
            yield window[np.array(pack)], items.chosen(pack)
        del items  # before the next ones are read


def _windows(
    rows: Rows, limits: BatchLimits, read: Callable[[Rows], NamedItems]
) -> Iterator[tuple[Rows, NamedItems]]:
    """Read items until there are many, or until they are large and fill a batch.

    Yields:
        Rows and their items.
    """
    for most in cut_batches(rows, max(1, WINDOW // limits.rows) * limits.rows):
        start, held, parts = 0, 0, list[NamedItems]()
        for end in range(1, len(most) + 1):
            parts.append(read(most[end - 1 : end]))
            held += _bytes(parts[-1][0])
            if end == len(most) or (held >= WINDOW_BYTES and _fills(parts, limits)):
                yield most[start:end], _joined(parts)
                start, held, parts = end, 0, []


def _fills(parts: Sequence[NamedItems], limits: BatchLimits) -> bool:
    longest = max(item_length(items[0]) for items in parts)
    full = limits.length is not None and len(parts) * limits.cost(longest) >= limits.length
    return full or len(parts) >= limits.rows


def _joined(parts: Sequence[NamedItems]) -> NamedItems:
    return NamedItems((item for part in parts for item in part), (n for part in parts for n in part.names))


def _bytes(item: object) -> int:
    """Count the bytes of an item's tensors, lists and texts."""
    if isinstance(item, Tensor | np.ndarray):
        return item.nbytes
    if isinstance(item, Mapping):
        return sum(map(_bytes, item.values()))
    if isinstance(item, list | tuple):
        return 8 * len(item) if len(item) > MOST_PARTS else sum(map(_bytes, item))
    if hasattr(item, "__dataclass_fields__"):
        return sum(map(_bytes, vars(item).values()))
    return 8 * item_length(item)


def _mixed(batches: list[list[int]]) -> Iterator[list[int]]:
    """Order batches so that the first few take as long as others on average; the longest first, which needs most memory.

    Yields:
        The first, the last, the second, the last but one.
    """
    first, last = 0, len(batches) - 1
    while first <= last:
        yield batches[first]
        if first < last:
            yield batches[last]
        first, last = first + 1, last - 1
