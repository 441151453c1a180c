"""Drill-down: an index of groups names the top groups, then their points are scored one by one.

The features of only those groups' points are computed, with the models and fitted states that made the groups, and
kept for the next query that meets the same groups. So points come at the cost of groups. Groups whose points cancel
can hide a point, which is why the answer says what was searched.

Letters: P points, K numbers of a feature, M members, k examples of an answer.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray

from byline.api.terms import Direction
from byline.attribution.member_scores import member_scores
from byline.attribution.optimism import optimism
from byline.attribution.queries import PreparedQuery
from byline.attribution.retrieval import RankedRows, SearchResult
from byline.errors import InvalidQuery
from byline.features.queries import Featurizer, GradientFeaturizer
from byline.features.sampling import cut_batches
from byline.index.index import AttributionIndex
from byline.members import Member
from byline.models.training_points import describe_row, read_items
from byline.progress import count_steps
from byline.task import Task

CACHE_BYTES = 1 << 28
"""Features of groups' points that are kept in memory."""
BATCH = 32
"""Points that are differentiated together."""
MOST_POINTS = 1 << 14
"""Points that one answer differentiates at most: groups can be of any size."""


class DrillDown:
    """Scores the points of groups.

    Args:
        index: An index of groups.
        members: The ensemble.
        task: The Task, with the training points.
        featurizer: With the members' models.
    """

    def __init__(
        self, index: AttributionIndex, members: Sequence[Member], task: Task, featurizer: Featurizer
    ) -> None:
        self._index, self._task, self._featurizer = index, task, featurizer
        self._members = members
        self._kept: OrderedDict[int, list[NDArray[np.float32]]] = OrderedDict()

    def into_points(self, query: PreparedQuery, found: SearchResult) -> SearchResult:
        """Replace the top groups by their top points.

        Args:
            query: The question with its feature.
            found: The top groups at each requested end.

        Returns:
            The points, and how many were scored.

        Raises:
            InvalidQuery: No group is small enough to go into.
        """
        groups = self._affordable([end for end in (found.proponents, found.opponents) if end is not None])
        rows_P, by_member_PM = self._scored(query, groups)
        k = query.question.request.k

        def top(name: Direction) -> RankedRows:
            scores_P = by_member_PM.mean(axis=1)
            order = np.lexsort((rows_P, -scores_P if name == "proponents" else scores_P))[:k]
            examples = tuple(describe_row(self._task, int(row)) for row in rows_P[order])
            return RankedRows(
                rows=rows_P[order],
                scores=scores_P[order],
                by_member=by_member_PM[order],
                optimism=optimism(name, by_member_PM, self._members, k),
                examples=examples,
            )

        return replace(
            found,
            proponents=top("proponents") if found.proponents is not None else None,
            opponents=top("opponents") if found.opponents is not None else None,
            points=len(rows_P),
            drilled=len(groups),
            noise=None,
        )

    def _affordable(self, ends: Sequence[RankedRows]) -> NDArray[np.int64]:
        """The strongest groups of every end, without those that are too large for what is left of `MOST_POINTS`.

        Raises:
            InvalidQuery: All of them are.
        """
        assert self._index.groups is not None
        sizes_J = self._index.groups.sizes
        ranked = [group for rank in zip_longest(*(end.rows.tolist() for end in ends)) for group in rank]
        taken: dict[int, None] = {}
        left = MOST_POINTS
        for group in ranked:
            if group is not None and group not in taken and sizes_J[group] <= left:
                taken[group] = None
                left -= int(sizes_J[group])
        if ranked and not taken:
            raise InvalidQuery(
                f"expected a group of at most {MOST_POINTS:,} points among those that drill_down goes into, got only "
                f"larger ones: leave drill_down out, or build an index of smaller groups"
            )
        return np.array(sorted(taken), dtype=np.int64)

    def _scored(
        self, query: PreparedQuery, groups: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rows [P], and scores by member [P, M]; [P, 1] where the members' own are not known."""
        assert self._index.groups is not None
        parts = []
        with count_steps("drill", int(self._index.groups.sizes[groups].sum())) as advance:
            for group in groups:
                for part_NK in self._vectors(int(group)):
                    parts.append(self._by_member(query, part_NK))
                    advance(len(part_NK))
        by_member = np.concatenate(parts) if parts else np.zeros((0, len(self._index.members)))
        return self._index.groups.points(groups), by_member

    def _by_member(self, query: PreparedQuery, vectors_NK: NDArray[np.float32]) -> NDArray[np.float64]:
        assert query.feature is not None
        parts_1MK = None if query.parts is None else query.parts.double().numpy()[None]
        query_1K = query.feature.double().numpy()[None]
        return member_scores(self._index, vectors_NK.astype(np.float64), query_1K, parts_1MK)[:, 0]

    def _vectors(self, group: int) -> Iterator[NDArray[np.float32]]:
        """Features of one group's points, kept for the next query unless they are too many.

        Yields:
            float32 [N, K] of some of them, in their order.
        """
        assert self._index.groups is not None
        if group in self._kept:
            self._kept.move_to_end(group)
            yield from self._kept[group]
            return
        rows = self._index.groups[group]
        keep = len(rows) * self._index.width * 4 <= CACHE_BYTES // 4
        parts = []
        for batch in cut_batches(rows, BATCH):
            part_NK = self._differentiated(batch)
            parts += [part_NK] if keep else []
            yield part_NK
        if keep:
            self._keep(group, np.concatenate(parts))

    def _keep(self, group: int, vectors_NK: NDArray[np.float32]) -> None:
        self._kept[group] = [vectors_NK]
        while sum(part.nbytes for kept in self._kept.values() for part in kept) > CACHE_BYTES:
            self._kept.popitem(last=False)

    def _differentiated(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.no_grad():
            features_NK = self._featurizer.train(read_items(self._task.train_set, rows))
        return np.asarray(features_NK.float().cpu().numpy())


def make_drill_down(
    index: AttributionIndex,
    members: Sequence[Member],
    task: Task | None,
    featurizer: GradientFeaturizer | None,
) -> DrillDown | None:
    """Make what drills down, where the index and the Task allow it."""
    if index.groups is None or task is None or not isinstance(featurizer, Featurizer):
        return None
    return DrillDown(index, members, task, featurizer)


def most_points_of(index: AttributionIndex, groups: int) -> int:
    """Count the points that a drill-down into this many groups differentiates at most."""
    assert index.groups is not None
    largest = np.sort(index.groups.sizes)[::-1][:groups]
    return min(int(largest.sum()), MOST_POINTS)


def require_drill_down(index: AttributionIndex, drill: DrillDown | None) -> None:
    """Require that a drill-down is possible.

    Raises:
        InvalidQuery: It is not.
    """
    if index.groups is None:
        raise InvalidQuery(
            "drill_down goes into groups, and every row of this index is a training point: leave it out"
        )
    if drill is None:
        raise InvalidQuery(
            "drill_down computes gradients, and this index was opened without its Task: leave it out"
        )
    if index.recipe.recorded:
        raise InvalidQuery(
            f"drill_down computes points' gradients, and recipe '{index.recipe.name}' takes points' features from a "
            f"recorded run, which an index does not hold: leave it out, or build without groups"
        )
    if index.recipe.members.forward_masks:
        raise InvalidQuery("drill_down is not offered with members.forward_masks: leave it out")
