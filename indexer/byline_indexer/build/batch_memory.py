"""Choose the size of batches by the memory of a build: from shapes alone, so that every machine chooses the same."""

import math
from dataclasses import dataclass

from byline.curvature.sums import WAVE
from byline.models.member import MemberModel
from byline.models.network import probed_rows
from byline.models.training_points import read_items
from byline.task import Task
from byline_indexer.units.batches import item_length

LIBRARIES = 700 << 20
"""Bytes of a process that has loaded its libraries and done nothing."""
LEAST = 1 / 8
"""Part of the memory that a batch may take at least, however much a model and its curvature take."""
STEPS = 4
"""Lengths of a batch between one and its double."""


@dataclass(frozen=True)
class ItemCost:
    """Cost of gradients for each number that an item's length counts, and the mean length of items."""

    size: float
    """Bytes."""
    seconds: float
    mean_length: float


def item_cost(task: Task, model: MemberModel, signal: str) -> ItemCost:
    """Measure the gradient of the longest of a few items.

    Args:
        task: Has the items.
        model: The first member's.
        signal: The train signal.
    """
    items = read_items(task.train_set, probed_rows(task))
    lengths = [item_length(item) for item in items]
    longest = max(range(len(items)), key=lambda place: lengths[place])
    cost = model.pass_cost(items[longest], signal)
    return ItemCost(
        cost.size / lengths[longest], cost.seconds / lengths[longest], sum(lengths) / len(lengths)
    )


def batch_length(model: MemberModel, cost: ItemCost, memory: int) -> int:
    """Choose how many items a batch holds, times the length of the longest.

    Args:
        model: The first member's.
        cost: Of an item.
        memory: Bytes that one worker may take.

    Returns:
        The length. An item that is longer is alone.
    """
    own = sum(tensor.nbytes for tensor in (*model.model.parameters(), *model.model.buffers()))
    room = max(memory - LIBRARIES - WAVE - own, LEAST * memory)
    return _rounded_down(room / cost.size)


def _rounded_down(length: float) -> int:
    """Round down to a quarter of an octave, so that a few bytes more or less change no index."""
    return int(2 ** (math.floor(STEPS * math.log2(max(1.0, length))) / STEPS))
