"""Make features of groups from summed gradients: one pass for many small groups, many for a large one.

A group of more than a batch is differentiated as one number, its weighted sum. Smaller groups share a batch, whose
factors are added up by group. No single point's gradient is formed either way. A batch is as long as any other of the build.

Letters: J groups, K numbers of a feature.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from byline.features.featurizer import MemberFeaturizer, Side
from byline.gradients.outer_products.grouping import sum_groups
from byline.models.member import MemberModel
from byline.models.training_points import NamedItems
from byline.task import Item
from byline.types import Rows
from byline_indexer.units.batches import BatchLimits, item_batches, item_length


@dataclass(frozen=True, kw_only=True)
class GroupPass:
    """The model and the data that groups are differentiated with."""

    model: MemberModel
    featurizer: MemberFeaturizer
    read: Callable[[Rows], NamedItems]
    """Reads the training points of some rows."""
    weights: Callable[[Rows], Tensor]
    """Gives the weights of some rows."""
    limits: BatchLimits
    signal: str
    """Name of the train signal."""

    def features(self, groups: Sequence[Rows]) -> Tensor:
        """Make one member's features of some groups.

        Args:
            groups: Rows of each, ascending.

        Returns:
            float32 [J, K].
        """
        phi: dict[int, Tensor] = {}
        for pack in packs([len(rows) for rows in groups], self.limits.rows):
            if len(pack) == 1 and len(groups[pack[0]]) > self.limits.rows:
                phi[pack[0]] = self._alone(groups[pack[0]])
                continue
            items = [self.read(groups[place]) for place in pack]
            for part in sharing([[item_length(item) for item in own] for own in items], self.limits):
                chosen = [pack[n] for n in part]
                made = self._sharing([groups[place] for place in chosen], [items[n] for n in part])
                phi |= dict(zip(chosen, made, strict=True))
        phi_JK = torch.stack([phi[place] for place in range(len(groups))])
        return self.featurizer.feature(phi_JK, Side.TRAIN).float()

    def _alone(self, rows: Rows) -> Tensor:
        """Project a large group's gradient, [K]."""

        def batches() -> Iterator[tuple[list[Item], Tensor]]:
            for batch, items in item_batches(rows, self.limits, self.read):
                yield items, self.weights(batch)

        return self.featurizer.project(self.model.group_gradient(batches(), self.signal), Side.TRAIN)[0]

    def _sharing(self, groups: Sequence[Rows], items: Sequence[NamedItems]) -> Tensor:
        """Project the gradients of groups that share a batch, or of one that is longer than a batch, [J, K]."""
        longest = max(item_length(item) for own in items for item in own)
        if len(groups) == 1 and not self.limits.fit(len(groups[0]), longest):
            return self._alone(groups[0])[None]
        batch = np.concatenate(groups)
        every = NamedItems((i for own in items for i in own), (name for own in items for name in own.names))
        group_N = torch.arange(len(groups)).repeat_interleave(torch.tensor([len(rows) for rows in groups]))
        gradients = self.model.gradients(every, self.signal)
        return self.featurizer.project(sum_groups(gradients, group_N, self.weights(batch)), Side.TRAIN)


def sharing(lengths: Sequence[Sequence[int]], limits: BatchLimits) -> Iterator[list[int]]:
    """Put groups together that share a batch, those with the longest items first. A group that is longer is alone.

    Args:
        lengths: Of the items of each group.
        limits: Of a batch.

    Yields:
        Places in `lengths`.
    """
    part: list[int] = []
    taken = 0
    for place in sorted(range(len(lengths)), key=lambda each: -max(lengths[each])):
        if part and not limits.fit(taken + len(lengths[place]), max(lengths[part[0]])):
            yield part
            part, taken = [], 0
        part.append(place)
        taken += len(lengths[place])
    if part:
        yield part


def packs(sizes: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Put groups of like sizes together, as many as fit. A larger one is alone.

    Args:
        sizes: Points of each group.
        limit: Points of a pack.

    Yields:
        Places in `sizes`.
    """
    pack: list[int] = []
    taken = 0
    for place in sorted(range(len(sizes)), key=lambda each: sizes[each]):
        if pack and taken + sizes[place] > limit:
            yield pack
            pack, taken = [], 0
        pack.append(place)
        taken += sizes[place]
    if pack:
        yield pack
