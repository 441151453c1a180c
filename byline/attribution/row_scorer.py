"""Score every row of an opened index for many queries.

Letters: Q queries, R rows of the index.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byline.api.query import options_of
from byline.attribution.opening import require_points
from byline.attribution.queries import QueryPreparer
from byline.attribution.request import AttributionRequest
from byline.attribution.score_matrix import (
    Fill,
    by_items,
    by_requests,
    checked_requests,
    fill_in_batches,
    query_items,
    require_batch,
)
from byline.features.queries import Featurizer
from byline.index.index import AttributionIndex
from byline.search.searcher import Searcher
from byline.task import Task
from byline.tasks.points import Points


@dataclass(frozen=True, kw_only=True)
class RowScorer:
    """Scores all rows of one index."""

    index: AttributionIndex
    """The opened index."""
    task: Task | None
    """Has the training points that refined queries are solved with."""
    preparer: QueryPreparer
    """Makes the features of requests."""
    searcher: Searcher
    """Multiplies features with stored rows."""

    def of_requests(self, requests: Sequence[AttributionRequest], batch: int) -> NDArray[np.float32]:
        """Score every row for requests with a payload each, which have one target.

        Args:
            requests: Q requests.
            batch: Queries that are differentiated together.

        Returns:
            float32 [Q, R].

        Raises:
            InvalidQuery: A request does not fit the index. The message names its number.
        """
        require_batch(batch)
        self._require_points(max((request.refine for request in requests), default=0))
        questions = checked_requests(self.preparer, requests)
        return self._filled(by_requests(self.preparer, self.searcher, questions), len(requests), batch)

    def of_items(
        self, featurizer: Featurizer, items: Points, target: str | None, *, batch: int, refine: int
    ) -> NDArray[np.float32]:
        """Score every row for complete items of the training set's kind.

        Args:
            featurizer: Differentiates them.
            items: Q items: a data set, or inputs and labels.
            target: A target of the Task. None takes the recipe's.
            batch: Items that are differentiated together.
            refine: Steps that solve each query.

        Returns:
            float32 [Q, R].

        Raises:
            InvalidQuery: The items have another form than the training set's.
            StaleIndex: The Task has another number of training points, and queries are solved with them.
        """
        require_batch(batch)
        self._require_points(refine)
        asked = query_items(featurizer, items)
        chosen, steps = target or self.index.recipe.query_target, options_of(refine=refine).refine
        fill = by_items(featurizer, self.searcher, asked, chosen, refine=steps)
        return self._filled(fill, len(asked), batch)

    def _require_points(self, refine: int) -> None:
        """Require the index's own training points where queries are solved with them."""
        if refine and self.task is not None:
            require_points(self.task, self.index)

    def _filled(self, fill: Fill, count: int, batch: int) -> NDArray[np.float32]:
        scores_QR = np.empty((count, self.index.rows), dtype=np.float32)
        fill_in_batches(scores_QR, fill, batch)
        return scores_QR
