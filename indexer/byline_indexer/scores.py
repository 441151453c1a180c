"""Write all scores of many queries block by block into one file.

Letters: Q queries, R training points, K numbers of a feature.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from byline.api.terms import Scored
from byline.attribution.baseline_ranking import fit_baseline, index_blend
from byline.attribution.opening import load_featurizer, load_index_task, require_points
from byline.attribution.queries import CheckedRequest, PreparedQuery, QueryPreparer
from byline.attribution.request import AttributionRequest
from byline.attribution.score_matrix import (
    Fill,
    by_items,
    by_requests,
    checked_requests,
    fill_in_batches,
    without_errors,
)
from byline.attribution.stage_timer import StageTimer
from byline.attribution.task_code import task_code
from byline.baselines import FitOptions, FittedBaseline
from byline.baselines.blend import blend_scores
from byline.errors import InvalidInput, InvalidQuery
from byline.index.durable import atomic_replacement
from byline.index.index import AttributionIndex
from byline.paths import local_path
from byline.search.searcher import Searcher
from byline.task import Item, Task
from byline_indexer.json_lines import json_lines
from byline_indexer.progress import Observer, Silent

Make = Callable[[Sequence[CheckedRequest], StageTimer], list[PreparedQuery]]
"""Makes the queries of checked requests: their items, or their features too."""
Score = Callable[[PreparedQuery], NDArray[np.float64]]
"""Scores all rows for a query, [1, R]."""


@dataclass(frozen=True)
class Chosen:
    """A baseline with its option, or the index's blend."""

    name: Scored
    neighbors: int = 5
    """Number of neighbors K of `knn_shapley`."""


def read_requests(path: Path, *, refine: int = 0) -> list[AttributionRequest]:
    """Read one query a line.

    Args:
        path: The file.
        refine: Steps that solve each query. 0 takes the index's own solution.

    Raises:
        InvalidInput: The file cannot be read, holds no query, or a line is no JSON object.
    """
    return [
        AttributionRequest(query=payload, refine=refine)
        for _, payload in json_lines(path, "--queries", "query")
    ]


def write_scores(
    index: Path,
    requests: Sequence[AttributionRequest],
    out: Path,
    *,
    batch: int = 32,
    observer: Observer | None = None,
    baseline: Chosen | None = None,
) -> None:
    """Write float32 [Q, R] to a `.npy` file, which appears when it is complete.

    Args:
        index: An index directory or one version of it.
        requests: Q queries.
        out: The file.
        batch: Queries that are differentiated together.
        observer: Receives progress and messages.
        baseline: Scores by it in place of influence.

    Raises:
        InvalidInput: There is no folder for the file, or the baseline does not fit the index or its Task.
        InvalidQuery: A query does not fit the index. The message names its number.
        StaleIndex: The Task changed since the build.
    """
    observer = observer or Silent()
    local_path(out, "--out")
    if not out.parent.is_dir():
        raise InvalidInput(f"expected a folder at {out.parent} to write {out.name} into, found none: make it")
    opened = AttributionIndex.open(index)
    task = load_index_task(opened)
    if any(request.refine for request in requests):
        require_points(task, opened)
    featurizer = load_featurizer(opened, task, identified=True)
    ask = QueryPreparer(opened.recipe, opened.width, task=task, featurizer=featurizer)
    questions = checked_requests(ask, requests)
    fill: Fill
    if baseline is None:
        fill = by_requests(ask, Searcher(opened), questions)
    else:
        fitting = FitOptions(
            model=featurizer.model,
            neighbors=baseline.neighbors,
            on_done=lambda done, rows: observer.progress("read training points", done, rows),
        )
        make, score = _scorer(opened, task, ask, baseline.name, fitting)
        fill = partial(_by_baseline, make, score, questions)
    with atomic_replacement(out) as temporary:
        scores_QR = open_memmap(temporary, "w+", np.float32, (len(questions), opened.rows))
        fill_in_batches(scores_QR, fill, batch, partial(observer.progress, "score queries"))
        scores_QR.flush()


def score_items(  # noqa: PLR0913 - four say what is scored, three how
    index: AttributionIndex,
    task: Task,
    items: Sequence[Item],
    target: str,
    *,
    batch: int = 32,
    refine: int = 0,
    observer: Observer | None = None,
) -> NDArray[np.float32]:
    """Score every row for queries that are items of the data set's kind: what `write_scores` writes.

    Args:
        index: The opened index.
        task: What it was built from.
        items: Q complete queries.
        target: What is attributed.
        batch: Queries that are differentiated, and solved, together.
        refine: Steps that solve each query. 0 takes the index's own solution.
        observer: Receives progress and messages.

    Returns:
        float32 [Q, R].

    Raises:
        StaleIndex: The weights are not those that the index was built from, or refined queries meet another number of
            training points.
    """
    observer = observer or Silent()
    if refine:
        require_points(task, index)
    featurizer = load_featurizer(index, load_index_task(index, task))
    scores_QR = np.empty((len(items), index.rows), dtype=np.float32)
    fill = by_items(featurizer, Searcher(index), items, target, refine=refine)
    fill_in_batches(scores_QR, fill, batch, partial(observer.progress, "score queries"))
    return scores_QR


def _scorer(
    index: AttributionIndex, task: Task, ask: QueryPreparer, name: Scored, fitting: FitOptions
) -> tuple[Make, Score]:
    """Fit what scores by a baseline, or by the index's blend, and choose what it needs of a query."""
    if name != "blend":
        return ask.make_items, partial(_similarities, fit_baseline(index, task, name, fitting))
    blend = index_blend(index)
    fitted = fit_baseline(index, task, blend.baseline, fitting)
    return ask.features, partial(_blended, fitted, Searcher(index), blend.weight)


def _by_baseline(
    make: Make,
    score: Score,
    questions: Sequence[CheckedRequest],
    first: int,
    out: NDArray[np.float32],
) -> None:
    """Score one query at a time: memory beside `out` is a few numbers for each row."""
    part = questions[first : first + len(out)]
    for place, each in enumerate(without_errors(make(part, StageTimer()), first)):
        try:
            out[place] = score(each)[0]
        except InvalidQuery as error:
            raise InvalidQuery(f"query {first + place + 1}: {error}") from error


def _similarities(baseline: FittedBaseline, query: PreparedQuery) -> NDArray[np.float64]:
    """Score all rows by a baseline, [1, R]."""
    with task_code():
        return baseline.scores(query.items)


def _blended(
    baseline: FittedBaseline, searcher: Searcher, weight: float, query: PreparedQuery
) -> NDArray[np.float64]:
    """Blend the influence of all rows with a baseline, [1, R]."""
    assert query.feature is not None
    influence_1R = searcher.scores(query.feature[None])
    return blend_scores(influence_1R, _similarities(baseline, query), weight)
