"""Choose the size of batches by the memory of a build: from shapes alone, so that every machine chooses the same."""

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


def batch_length(task: Task, model: MemberModel, signal: str, memory: int) -> int:
    """Choose how many items a batch holds, times the length of the longest.

    Args:
        task: Its longest item of a few is measured.
        model: The first member's.
        signal: The train signal.
        memory: Bytes that one worker may take.

    Returns:
        The length. One item of that length always fits.
    """
    items = read_items(task.train_set, probed_rows(task))
    longest = max(items, key=item_length)
    needed = model.pass_bytes(longest, signal) / item_length(longest)
    own = sum(tensor.nbytes for tensor in (*model.model.parameters(), *model.model.buffers()))
    room = max(memory - LIBRARIES - WAVE - own, LEAST * memory)
    return max(1, int(room / needed))
