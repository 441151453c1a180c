"""Score every row of an index for many queries: float32 [Q, R], batch by batch.

Letters: Q queries, R rows of the index, K numbers of a feature.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from byline.attribution.queries import CheckedRequest, PreparedQuery, QueryPreparer
from byline.attribution.request import AttributionRequest
from byline.attribution.stage_timer import StageTimer
from byline.declarations import kind
from byline.errors import BylineError, InvalidInput, InvalidQuery, InvalidTask
from byline.features.queries import Featurizer
from byline.loading.failures import OUT_OF_MEMORY, error_text
from byline.search.searcher import Searcher
from byline.task import Item, TrainSet
from byline.tasks.classification import dtype_of
from byline.tasks.points import Points, as_items, require_same_form

Fill = Callable[[int, NDArray[np.float32]], None]
"""(number of the first query, where the scores of a batch go, [q, R])."""
OnDone = Callable[[int, int], None]
"""(queries done, queries)."""


def fill_in_batches(
    scores_QR: NDArray[np.float32], fill: Fill, batch: int, on_done: OnDone | None = None
) -> None:
    """Fill a matrix of scores batch by batch.

    Args:
        scores_QR: The matrix, which may be a memory-mapped file.
        fill: Computes one batch.
        batch: Queries of a batch.
        on_done: Called after each batch.
    """
    for start in range(0, len(scores_QR), batch):
        part_QR = scores_QR[start : start + batch]
        fill(start, part_QR)
        if on_done is not None:
            on_done(start + len(part_QR), len(scores_QR))


def by_requests(preparer: QueryPreparer, searcher: Searcher, questions: Sequence[CheckedRequest]) -> Fill:
    """Make the function that scores a batch of checked requests.

    Args:
        preparer: Makes the queries' features.
        searcher: The index's searcher.
        questions: Q requests, from `checked_requests`.

    Returns:
        A `Fill` that raises `InvalidQuery` with the query's number.
    """

    def fill(start: int, part_QR: NDArray[np.float32]) -> None:
        queries = preparer.features(questions[start : start + len(part_QR)], StageTimer())
        found = without_errors(queries, start)
        features_QK = torch.stack([each.feature for each in found if each.feature is not None])
        searcher.scores(features_QK, out=part_QR)

    return fill


def require_batch(batch: object) -> None:
    """Require a number of queries that are differentiated together.

    Raises:
        InvalidInput: It is no whole number of 1 or more.
    """
    if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
        got = batch if isinstance(batch, int | float) else kind(batch)
        raise InvalidInput(f"expected batch to be a whole number of 1 or more, got {got}: leave it at 32")


def query_items(featurizer: Featurizer, queries: Points, name: str = "queries") -> TrainSet:
    """Take queries as complete items of the training set's form.

    Args:
        featurizer: Has the Task's training set and the precision of its model.
        queries: Inputs and labels, or a data set.
        name: Names them in messages.

    Returns:
        Q items.

    Raises:
        InvalidQuery: They are one payload, or have another form.
    """
    if isinstance(queries, Mapping):
        raise InvalidQuery(f"expected a list of {name}, got one mapping: put it into a list, [query]")
    try:
        items = as_items(queries, name, dtype_of(featurizer.model))
        require_same_form(items, featurizer.train_set, name)
    except InvalidTask as error:
        raise InvalidQuery(str(error)) from error
    return items


def by_items(
    featurizer: Featurizer,
    searcher: Searcher,
    items: TrainSet | Sequence[Item],
    target: str,
    *,
    refine: int = 0,
) -> Fill:
    """Make the function that scores a batch of complete items of the data set's kind.

    Args:
        featurizer: Makes the queries' features.
        searcher: The index's searcher.
        items: Q queries.
        target: The attributed target.
        refine: Steps that solve each query. 0 takes the index's own solution.

    Returns:
        A `Fill`.
    """
    features = partial(featurizer.query, target=target, refine=refine)

    def fill(start: int, part_QR: NDArray[np.float32]) -> None:
        part = [items[place] for place in range(start, start + len(part_QR))]
        searcher.scores(_features(features, part, start + 1), out=part_QR)

    return fill


def _features(features: Callable[[Sequence[Item]], Tensor], part: Sequence[Item], first: int) -> Tensor:
    try:
        return features(part)
    except (BylineError, *OUT_OF_MEMORY):
        raise
    except Exception as error:
        raise InvalidQuery(
            f"expected queries like the items of the training set, got queries {first} to {first + len(part) - 1} on which "
            f"the model or its loss raised {error_text(error)}"
        ) from error


def checked_requests(preparer: QueryPreparer, requests: Sequence[AttributionRequest]) -> list[CheckedRequest]:
    """Check every request before the first one is computed.

    Raises:
        InvalidQuery: A request does not fit the index. The message names its number, from 1.
    """
    questions = []
    for number, request in enumerate(requests, start=1):
        try:
            questions.append(preparer.check(request))
        except InvalidQuery as error:
            raise InvalidQuery(f"query {number}: {error}") from error
    return questions


def without_errors(found: list[PreparedQuery], first: int) -> list[PreparedQuery]:
    """Return the prepared queries of a batch, or raise the first error.

    Args:
        found: The batch.
        first: Number of its first query, from 0.

    Raises:
        InvalidQuery: A query failed. The message names its number, from 1.
    """
    for place, each in enumerate(found):
        if each.error is not None:
            raise InvalidQuery(f"query {first + place + 1}: {each.error}") from each.error
    return found
