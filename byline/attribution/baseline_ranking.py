"""Baselines beside influence: an index's training points ranked by how alike they are to a query, or by a blend.

Letters: R rows, k examples of an answer.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from byline.api.blend import Blend
from byline.api.terms import Baseline, Ranking, Similarity
from byline.attribution.queries import PreparedQuery
from byline.attribution.retrieval import RankedRows, SearchResult
from byline.attribution.task_code import task_code
from byline.baselines import BASELINES, FitOptions, FittedBaseline
from byline.baselines.blend import blend_scores
from byline.errors import CorruptIndex, InvalidInput, InvalidQuery, InvalidTask, Overloaded, StaleIndex
from byline.features.queries import Featurizer, GradientFeaturizer
from byline.index.blend import read_blend
from byline.index.index import AttributionIndex
from byline.search.searcher import Searcher
from byline.task import Task

_GROUPED = "baselines rank training points, and its rows are groups of them: build an index without groups"
_NO_BLEND = (
    "the index has no blend: write [blend], baseline = 'bm25' and weight = 0.25 into its build file and run `byline build` "
    "again, which computes no gradient"
)


def fit_baseline(index: AttributionIndex, task: Task, name: Baseline, fitting: FitOptions) -> FittedBaseline:
    """Fit a baseline on the training points that an index has rows of.

    Args:
        index: Its rows are training points.
        task: The Task, with the training points.
        name: Name of the baseline.
        fitting: Model and batches.

    Returns:
        The baseline, whose scores are in the order of the index's rows.

    Raises:
        InvalidInput: The index has groups, or the Task lacks the form that the baseline compares (`InvalidTask`).
        StaleIndex: The Task has another number of training points than the index has rows.
    """
    if index.groups is not None:
        raise InvalidInput(f"expected an index of training points, got one of groups: {_GROUPED}")
    if len(task.train_set) != index.rows:
        raise StaleIndex(
            f"expected a Task with {index.rows} training points, as the index has rows, got "
            f"{len(task.train_set)}: rebuild the index, or restore the data"
        )
    return BASELINES[name].fit(task, fitting)


def index_blend(index: AttributionIndex) -> Blend:
    """Read the blend that an index is ranked by.

    Raises:
        InvalidQuery: It has none. The message says what to do.
        CorruptIndex: Its file cannot be read.
    """
    blend = read_blend(index.path)
    if blend is None:
        raise InvalidQuery(_NO_BLEND)
    return blend


class Similarities:
    """The baselines that one index answers by; none until they are offered.

    Args:
        index: Its rows are the Task's training points.
        task: Says what a training point is. None offers nothing.
        featurizer: Its first member's model represents items.
        searcher: Computes the influence that a blend contains.
    """

    def __init__(
        self,
        index: AttributionIndex,
        task: Task | None,
        featurizer: GradientFeaturizer | None,
        searcher: Searcher,
    ) -> None:
        self._index, self._task, self._featurizer, self._searcher = index, task, featurizer, searcher
        self._offered: dict[Ranking, Similarity] = {}
        self._blend: Blend | None = None
        self._fitted: dict[Similarity, FittedBaseline] = {}
        self._missing: dict[str, str] = {}

    @property
    def offered(self) -> tuple[Ranking, ...]:
        """Names that a request may carry."""
        return tuple(self._offered)

    @property
    def missing(self) -> dict[str, str]:
        """Baselines that were to be offered and cannot be, and why."""
        return dict(self._missing)

    def offer(self, names: Sequence[Ranking]) -> None:
        """Take requests for these baselines, where the index and its Task have what they compare.

        Raises:
            InvalidInput: A package that one of them needs is not installed.
        """
        for name in names:
            if name in self._offered:
                continue
            try:
                self._offered[name] = self._compared(name)
            except (InvalidTask, InvalidQuery, CorruptIndex) as error:
                self._missing[name] = str(error)

    def _compared(self, name: Ranking) -> Similarity:
        """Return the similarity that a ranking compares by, if index and Task have what it takes."""
        if self._index.groups is not None:
            raise InvalidQuery(_GROUPED)
        if self._task is None:
            raise InvalidQuery("it was opened without its Task")
        if name == "blend":
            self._blend = index_blend(self._index)
            name = self._blend.baseline
        BASELINES[name].require(self._task)
        return name

    def require(self, name: str) -> None:
        """Require that requests may carry this baseline.

        Raises:
            InvalidQuery: They may not. The message says what to do.
        """
        if name in self._offered:
            return
        if name in self._missing:
            raise InvalidQuery(f"this index cannot answer by the baseline {name}: {self._missing[name]}")
        raise InvalidQuery(
            f"the baseline {name} is not offered here, as it costs a pass over the training set: start the service with "
            f"`byline serve --baselines {name}` (BYLINE_BASELINES={name}), or offer it to the Attributor's similarities"
        )

    def fit(self) -> None:
        """Fit what is offered and not fitted yet.

        Raises:
            StaleIndex: The Task has another number of training points than the index has rows.
            InvalidTask: Its data does not fit.
        """
        for name in set(self._offered.values()) - set(self._fitted):
            assert self._task is not None
            model = self._featurizer.model if isinstance(self._featurizer, Featurizer) else None
            self._fitted[name] = fit_baseline(self._index, self._task, name, FitOptions(model=model))

    def find(self, query: PreparedQuery) -> SearchResult:
        """Rank the training points of one question; of a `query_set` by the mean of its queries' scores.

        Args:
            query: With its items, and with its feature for a blend.

        Returns:
            The requested ends.

        Raises:
            Overloaded: The baseline is not fitted yet.
            InvalidQuery: The Task failed on the query, or the filter does not fit.
        """
        request = query.question.request
        scores_R = self._scores(query)
        chosen = request.filter
        rows = np.arange(len(scores_R)) if chosen is None else self._index.examples.rows_matching(chosen)
        return SearchResult(
            proponents=_end(rows, -scores_R[rows], request.k, -1)
            if request.direction != "opponents"
            else None,
            opponents=_end(rows, scores_R[rows], request.k, 1) if request.direction != "proponents" else None,
            searched=len(rows),
            points=len(rows),
            blend=self._blend if request.baseline == "blend" else None,
        )

    def _scores(self, query: PreparedQuery) -> NDArray[np.float64]:
        """Score all rows: z-scores need those that a filter leaves out, too."""
        name = query.question.request.baseline
        baseline = None if name is None else self._fitted.get(self._offered[name])
        if baseline is None:
            raise Overloaded("the baseline is being fitted: try again in a while")
        with task_code():
            scores_1R = baseline.scores(query.items).mean(axis=0, keepdims=True)
        if name == "blend":
            assert self._blend is not None
            assert query.feature is not None
            influence_1R = self._searcher.scores(query.feature[None])
            scores_1R = blend_scores(influence_1R, scores_1R, self._blend.weight)
        scores_R: NDArray[np.float64] = scores_1R[0]
        return scores_R


def _end(rows: NDArray[np.int64], signed: NDArray[np.float64], k: int, sign: int) -> RankedRows:
    """The smallest of `signed` first, ties in the order of rows."""
    order = np.argsort(signed, kind="stable")[:k]
    scores_k = sign * signed[order]
    return RankedRows(rows=rows[order], scores=scores_k, by_member=scores_k[:, None])
