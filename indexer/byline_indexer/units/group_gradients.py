"""Make features of groups from summed gradients: one pass for many small groups, many for a large one.

A group of more than a batch is differentiated as one number, its weighted sum. Smaller groups share a batch, whose
factors are added up by group. No single point's gradient is formed either way.

Letters: J groups, K numbers of a feature.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from byline.features.featurizer import MemberFeaturizer, Side
from byline.features.sampling import cut_batches
from byline.gradients.outer_products.grouping import sum_groups
from byline.models.member import MemberModel
from byline.task import Item
from byline.types import Rows


@dataclass(frozen=True, kw_only=True)
class GroupPass:
    """The model and the data that groups are differentiated with."""

    model: MemberModel
    featurizer: MemberFeaturizer
    read: Callable[[Rows], list[Item]]
    """Reads the training points of some rows."""
    weights: Callable[[Rows], Tensor]
    """Gives the weights of some rows."""
    batch_rows: int
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
        for pack in packs([len(rows) for rows in groups], self.batch_rows):
            if len(pack) == 1 and len(groups[pack[0]]) > self.batch_rows:
                phi[pack[0]] = self._alone(groups[pack[0]])
            else:
                phi |= dict(zip(pack, self._together([groups[place] for place in pack]), strict=True))
        phi_JK = torch.stack([phi[place] for place in range(len(groups))])
        return self.featurizer.feature(phi_JK, Side.TRAIN).float()

    def _alone(self, rows: Rows) -> Tensor:
        """Project a large group's gradient, [K]."""

        def batches() -> Iterator[tuple[list[Item], Tensor]]:
            for batch in cut_batches(rows, self.batch_rows):
                yield self.read(batch), self.weights(batch)

        return self.featurizer.project(self.model.group_gradient(batches(), self.signal), Side.TRAIN)[0]

    def _together(self, groups: Sequence[Rows]) -> Tensor:
        """Project the gradients of groups that fit in one batch, [J, K]."""
        batch = torch.cat([torch.from_numpy(rows) for rows in groups]).numpy()
        group_N = torch.arange(len(groups)).repeat_interleave(torch.tensor([len(rows) for rows in groups]))
        gradients = self.model.gradients(self.read(batch), self.signal)
        return self.featurizer.project(sum_groups(gradients, group_N, self.weights(batch)), Side.TRAIN)


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
