"""Cut long sequences for the checks of a model, which take a few at once and need no more than a few tokens of each.

A sequence keeps its last targets: a prompt has none, and a loss without targets is no number.
"""

from collections.abc import Mapping

from torch import Tensor

from byline.task import Item

IGNORED = -100
"""`ignore_index` of torch's losses."""
LONGEST = 32
"""Positions of a sequence that a model is checked on, at most."""


def excerpt(item: Item, longest: int = LONGEST) -> Item:
    """Cut an item of sequences of one length, such as `input_ids` and `labels`, to the positions up to its last target.

    Args:
        item: An item of the data set's kind. Any other than a mapping of vectors of one length is left whole.
        longest: Positions that are kept.
    """
    if not isinstance(item, Mapping) or not item:
        return item
    if any(not isinstance(part, Tensor) or part.dim() != 1 for part in item.values()):
        return item
    lengths = {len(part) for part in item.values()}
    if len(lengths) > 1 or max(lengths) <= longest:
        return item
    end = max(longest, min(_targets_end(part) for part in item.values()))
    return {name: part[end - longest : end] for name, part in item.items()}


def _targets_end(part: Tensor) -> int:
    """Find the position after the last entry that torch's losses do not ignore."""
    counted = (part != IGNORED).nonzero()
    return int(counted[-1]) + 1 if len(counted) else len(part)
