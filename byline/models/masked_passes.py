"""Gradients of queries under every member: all masks of one model in one pass, where that is exact.

A query under ten masks is a batch of ten copies, each under its own mask. Small models and GPUs take hardly longer
for it than for one. Models that mix or reshape the batch around their dropout cannot be asked so: the first query is
differentiated both ways, and where the two differ masks are taken one after the other from then on.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch

from byline.errors import BylineError
from byline.gradients.outer_products.factors import BatchGradients
from byline.members import Member
from byline.models.member import MemberModel
from byline.task import Item

MOST_ROWS = 64
"""Copies of queries in one pass."""
TOLERANCE = 1e-3
"""Difference between the two ways, in units of the gradient's length, that is rounding."""


class QueryPasses:
    """Differentiates queries under every member.

    Args:
        models: Every member's model. Those with the same weights share it.
        whole: Leave the masks out: one pass serves all members with the same weights.
    """

    def __init__(self, models: Mapping[Member, MemberModel], *, whole: bool = False) -> None:
        self._models, self._whole = models, whole
        self._groups: dict[tuple[int, int | None], list[Member]] = {}
        for member in models:
            self._groups.setdefault((member.checkpoint, member.adapter), []).append(member)
        several = any(len(g) > 1 for g in self._groups.values())
        self._together: bool | None = None if several and not whole else False

    def gradients(self, items: Sequence[Item], target: str) -> Iterator[tuple[Member, BatchGradients]]:
        """Differentiate items under every member.

        Args:
            items: Complete items.
            target: `"loss"` or one of the Task's targets.

        Yields:
            Each member with its gradients of the batch.
        """
        if self._whole:
            for group in self._groups.values():
                shared = self._models[group[0]].whole_gradients(items, target)
                yield from ((member, shared) for member in group)
            return
        if self._together is None:
            self._together = self._agree(items[0], target)
        for group in self._groups.values():
            step = max(1, MOST_ROWS // max(1, len(items))) if self._together else 1
            for start in range(0, len(group), step):
                yield from self._pass(group[start : start + step], items, target)

    def _pass(
        self, members: Sequence[Member], items: Sequence[Item], target: str
    ) -> Iterator[tuple[Member, BatchGradients]]:
        if len(members) == 1:
            yield members[0], self._models[members[0]].gradients(items, target)
            return
        models = [self._models[member] for member in members]
        yield from zip(members, models[0].masked_gradients(models, items, target), strict=True)

    def _agree(self, item: Item, target: str) -> bool:
        """Tell whether one pass for all masks of the first model with several gives what a pass for each gives."""
        group = next(group for group in self._groups.values() if len(group) > 1)[:2]
        alone = [self._models[member].gradients([item], target) for member in group]
        try:
            together = [gradients for _, gradients in self._pass(group, [item], target)]
        except (BylineError, RuntimeError, ValueError, IndexError):
            return False
        return all(_close(one, other) for one, other in zip(alone, together, strict=True))


def _close(one: BatchGradients, other: BatchGradients) -> bool:
    """Compare gradients block by block, so that no whole gradient is in memory."""
    for name, gradient in one.blocks.items():
        rows, _ = gradient.shape
        step = max(1, (1 << 20) // gradient.shape[1])
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            expected, found = gradient.rows(start, stop), other.blocks[name].rows(start, stop)
            if (
                torch.linalg.vector_norm(expected - found)
                > TOLERANCE * torch.linalg.vector_norm(expected) + 1e-7
            ):
                return False
    return True
