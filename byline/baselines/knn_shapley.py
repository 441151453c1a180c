"""KNN-Shapley: each training point's contribution to a vote of a query's nearest neighbors on its label.

The game is a K-nearest-neighbor classifier in the space of representations: a set S of training points is worth the
share of its K nearest to the query that have the query's label, v(S) = 1/K sum over k <= min(K, |S|) of
[y of the k-th = y of the query]. Shapley values of it have a closed form over the points in order of distance
(Jia et al. 2019, "Efficient Task-Specific Data Valuation for Nearest Neighbor Algorithms", theorem 1; the last one's
min(K, R) covers training sets smaller than K):

    s_R = [y_R = y] min(K, R) / (K R)
    s_i = s_(i+1) + ([y_i = y] - [y_(i+1) = y]) / K * min(K, i) / i

Positive: the point helps to predict the query's label. The values of a query add up to v(all).

Letters: Q queries, R training points.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from byline.baselines.base import DEFAULT, FitOptions
from byline.baselines.representation import Representation
from byline.errors import InvalidInput, InvalidQuery, InvalidTask
from byline.models.training_points import describe_row, item_label
from byline.task import Item, Task


def shapley_values(matches_R: NDArray[np.bool_], neighbors: int) -> NDArray[np.float64]:
    """Shapley values of the vote.

    Args:
        matches_R: Whether each point has the query's label, the nearest point first.
        neighbors: K.

    Returns:
        float64 [R], in the same order.
    """
    rows = len(matches_R)
    matches = matches_R.astype(np.float64)
    places = np.arange(1, rows)
    steps = (matches[:-1] - matches[1:]) / neighbors * np.minimum(neighbors, places) / places
    farthest = matches[-1] * min(neighbors, rows) / (neighbors * rows)
    above = np.concatenate([np.cumsum(steps[::-1])[::-1], [0.0]])
    return np.asarray(farthest + above)


class KnnShapley:
    """Values training points by what they add to a nearest-neighbor vote on a query's label."""

    def __init__(self, task: Task, similarity: Representation, labels_R: NDArray[np.str_], neighbors: int):
        self._task, self._similarity = task, similarity
        self._labels_R, self._neighbors = labels_R, neighbors

    @classmethod
    def require(cls, task: Task) -> None:
        """Require that items have a representation and a label.

        Raises:
            InvalidTask: `Task.representation` or `Task.label` is not declared.
        """
        Representation.require(task)
        if task.label is None:
            raise InvalidTask(
                "expected Task.label, which knn_shapley votes on, got None: declare an item's class as "
                "Example.label names it, `item -> str`"
            )

    @classmethod
    def fit(cls, task: Task, fitting: FitOptions = DEFAULT) -> Self:
        """Read the training points' labels and representations.

        Args:
            task: With `representation`, `label`, and a label in every `Example`.
            fitting: Model, batches and K.

        Returns:
            The vote among these training points.

        Raises:
            InvalidTask: Something of these is missing.
            InvalidInput: K is below 1.
        """
        cls.require(task)
        if fitting.neighbors < 1:
            raise InvalidInput(f"expected at least 1 neighbor, got {fitting.neighbors}")
        labels = [describe_row(task, row).label for row in range(len(task.train_set))]
        known = [label for label in labels if label is not None]
        if len(known) < len(labels):
            raise InvalidTask(
                f"expected a label in every Example, which knn_shapley votes on, got {len(labels) - len(known)} of "
                f"{len(labels)} without: set it in Task.describe"
            )
        return cls(task, Representation.fit(task, fitting), np.array(known), fitting.neighbors)

    def scores(self, items: Sequence[Item]) -> NDArray[np.float64]:
        """Value every training point, for one query after the other.

        Args:
            items: Q complete items.

        Returns:
            float64 [Q, R]. Points at the same distance are taken in the order of rows.

        Raises:
            InvalidQuery: No training point has a query's label.
        """
        cosines_QR = self._similarity.scores(items)
        values_QR = np.empty_like(cosines_QR)
        for values_R, cosines_R, item in zip(values_QR, cosines_QR, items, strict=True):
            nearest_R = np.argsort(-cosines_R, kind="stable")
            values_R[nearest_R] = shapley_values(self._matches(item)[nearest_R], self._neighbors)
        return values_QR

    def _matches(self, item: Item) -> NDArray[np.bool_]:
        label = item_label(self._task, item)
        matches_R: NDArray[np.bool_] = self._labels_R == label
        if not matches_R.any():
            raise InvalidQuery(
                "expected a query with a label that some training point has, got another: Task.label and "
                "Example.label must name classes alike"
            )
        return matches_R
