"""Choose the size of batches by the memory of a build: from shapes alone, so that every machine chooses the same."""

import math
from dataclasses import dataclass

from byline.curvature.sums import WAVE
from byline.models.member import MemberModel
from byline.models.network import probed_rows
from byline.models.training_points import read_items
from byline.progress import count_items
from byline.task import Task
from byline_indexer.units.batches import item_length

LIBRARIES = 700 << 20
"""Bytes of a process that has loaded its libraries and done nothing."""
LEAST = 1 / 8
"""Part of the memory that a batch may take at least, however much a model and its curvature take."""
CHECKED = 1.6
"""Bytes of the first batches in units of later ones: they are compared with an item alone, and weighed otherwise."""
STEEPEST = 1000
"""Cost of a number of the longest item in units of a short item's, at most."""
STEPS = 4
"""Lengths of a batch between one and its double."""


@dataclass(frozen=True)
class ItemCost:
    """Cost of gradients by an item's length T, and the mean length of items."""

    size: float
    """Bytes for each number of a short item's length."""
    seconds: float
    """Seconds for each number of the longest item's length."""
    mean_length: float
    square: float = 0.0
    """An item takes `size * T * (1 + square * T)` bytes: attention that keeps its weights grows with T^2."""


def item_cost(task: Task, model: MemberModel, signal: str) -> ItemCost:
    """Measure the gradients of the longest of a few items, and of one of about half its length.

    A shorter one would tell less: what every item takes whatever its length hides how bytes grow.

    Args:
        task: Has the items.
        model: The first member's.
        signal: The train signal.
    """
    items = read_items(task.train_set, probed_rows(task))
    lengths = [item_length(item) for item in items]
    longest = max(lengths)
    half = min(lengths, key=lambda length: abs(length - longest / 2))
    measured = [items[lengths.index(length)] for length in sorted({half, longest})]
    costs = [model.pass_cost(item, signal) for item in count_items(None, measured)]
    small, cost = costs[0], costs[-1]
    size, square = grown((half, small.size), (longest, cost.size))
    return ItemCost(CHECKED * size, cost.seconds / longest, sum(lengths) / len(lengths), square)


def grown(small: tuple[int, int], large: tuple[int, int]) -> tuple[float, float]:
    """Fit bytes = size * T * (1 + square * T) to two items.

    Args:
        small: Length and bytes of the shorter one.
        large: Of the longer one, or the same.

    Returns:
        `size`, and `square` to two digits. Where bytes grow more slowly than lengths, a line through the shorter one.
    """
    per_small, per_large = small[1] / small[0], large[1] / large[0]
    slope = (per_large - per_small) / max(1, large[0] - small[0])
    if slope <= 0:
        return per_small, 0.0
    size = max(per_small - slope * small[0], per_large / STEEPEST)
    return size, float(f"{(per_large / size - 1) / large[0]:.2g}")


def batch_length(model: MemberModel, cost: ItemCost, memory: int) -> int:
    """Choose how many items a batch holds, times the cost of the longest.

    Args:
        model: The first member's.
        cost: Of an item.
        memory: Bytes that one worker may take.

    Returns:
        The length. An item that is longer is alone.
    """
    room = max(memory - LIBRARIES - WAVE - model_bytes(model), LEAST * memory)
    return _rounded_down(room / cost.size)


def model_bytes(model: MemberModel) -> int:
    """Count the bytes of a model's parameters and buffers."""
    return sum(tensor.nbytes for tensor in (*model.model.parameters(), *model.model.buffers()))


def _rounded_down(length: float) -> int:
    """Round down to a quarter of an octave, so that a few bytes more or less change no index."""
    return int(2 ** (math.floor(STEPS * math.log2(max(1.0, length))) / STEPS))
