"""Drill-down: an index of groups names the top groups, then their points are scored one by one.

The features of only those groups' points are computed, with the models and fitted states that made the groups, and
kept for the next query that meets the same groups. So points come at the cost of groups; groups whose points cancel
can hide a point, which is why the answer says what was searched.

Letters: P points, K numbers of a feature, M members, k examples of an answer.
"""

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from byline.attribution.lookup import End, Found
from byline.attribution.questions import Featured
from byline.errors import InvalidQuery
from byline.query_features import Featurizer, GradientFeaturizer
from byline.store.index import AttributionIndex
from byline.task import Task

CACHE_BYTES = 1 << 28
"""Features of groups' points that are kept in memory."""
BATCH = 32
"""Points that are differentiated together."""


class Drill:
    """Scores the points of groups.

    Args:
        index: An index of groups.
        task: Has the points.
        featurizer: With the members' models.
    """

    def __init__(self, index: AttributionIndex, task: Task, featurizer: Featurizer) -> None:
        self._index, self._task, self._featurizer = index, task, featurizer
        self._kept: OrderedDict[int, NDArray[np.float32]] = OrderedDict()

    def into_points(self, asked: Featured, found: Found) -> Found:
        """Replace the top groups by their top points.

        Args:
            asked: The question with its feature.
            found: The top groups at each end that was asked for.

        Returns:
            The points, and how many were scored.
        """
        ends = [end for end in (found.proponents, found.opponents) if end is not None]
        groups = (
            np.unique(np.concatenate([end.rows for end in ends])) if ends else np.zeros(0, dtype=np.int64)
        )
        rows_P, by_member_PM = self._scored(asked, groups)
        k = asked.question.request.k

        def top(sign: float) -> End:
            scores_P = by_member_PM.mean(axis=1)
            order = np.lexsort((rows_P, -sign * scores_P))[:k]
            examples = tuple(self._task.describe(int(row)) for row in rows_P[order])
            return End(
                rows=rows_P[order], scores=scores_P[order], by_member=by_member_PM[order], examples=examples
            )

        return replace(
            found,
            proponents=top(1.0) if found.proponents is not None else None,
            opponents=top(-1.0) if found.opponents is not None else None,
            points=len(rows_P),
            drilled=len(groups),
            noise=None,
        )

    def _scored(
        self, asked: Featured, groups: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rows [P], and scores by member [P, M]; [P, 1] where the members' own are not known."""
        assert self._index.groups is not None
        vectors = [self._vectors(int(group)) for group in groups]
        vectors_PK = (
            np.concatenate(vectors) if vectors else np.zeros((0, self._index.width), dtype=np.float32)
        )
        assert asked.feature is not None
        query_K = asked.feature.double().numpy()
        if asked.parts is not None:
            parts_PM = vectors_PK.astype(np.float64) @ asked.parts.double().numpy().T
        elif len(self._index.slices) == len(self._index.members):
            products_PK = vectors_PK.astype(np.float64) * query_K
            parts_PM = np.stack([products_PK[:, own].sum(axis=1) for own in self._index.slices], axis=1)
        else:
            parts_PM = (vectors_PK.astype(np.float64) @ query_K)[:, None]
        return self._index.groups.points(groups), parts_PM * parts_PM.shape[1]

    def _vectors(self, group: int) -> NDArray[np.float32]:
        """Features of one group's points, computed once: float32 [P, K]."""
        assert self._index.groups is not None
        if group in self._kept:
            self._kept.move_to_end(group)
            return self._kept[group]
        rows = self._index.groups[group]
        parts = [self._differentiated(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
        self._kept[group] = np.concatenate(parts)
        while sum(kept.nbytes for kept in self._kept.values()) > CACHE_BYTES and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return self._kept[group]

    def _differentiated(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.no_grad():
            features_NK = self._featurizer.train([self._task.train_set[int(row)] for row in rows])
        return np.asarray(features_NK.float().cpu().numpy())


def drill_of(
    index: AttributionIndex, task: Task | None, featurizer: GradientFeaturizer | None
) -> Drill | None:
    """Make what drills down, where the index and the Task allow it."""
    if index.groups is None or task is None or not isinstance(featurizer, Featurizer):
        return None
    return Drill(index, task, featurizer)


def refuse_no_drill(index: AttributionIndex, drill: Drill | None) -> None:
    """Hold that a drill-down is possible.

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
