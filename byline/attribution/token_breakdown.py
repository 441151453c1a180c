"""Answers told token by token: each listed score as a sum over the query's tokens, and over the training text's.

Costs no search: the query is differentiated once more for each listed point, and each point once.
Letters: V listed points, T tokens, K numbers of a feature.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from byline.api.answer import Answer
from byline.api.answer_parts import Attribution
from byline.api.token_scores import TokenScores, paragraphs, span_scores
from byline.attribution.copied_runs import copied_runs
from byline.attribution.opening import require_points
from byline.attribution.queries import CheckedRequest, PreparedQuery
from byline.attribution.task_code import task_code
from byline.digests import short_digest
from byline.errors import InvalidQuery, StaleIndex
from byline.features.patch_scores import query_patches, training_patches
from byline.features.position_scores import query_positions, refuse_inseparable, training_positions
from byline.features.queries import Featurizer, GradientFeaturizer
from byline.index.index import AttributionIndex
from byline.index.layout import scale_exponents
from byline.models.training_points import read_items
from byline.progress import count_steps
from byline.task import Item, Patches, Positions, Task

MOST_POINTS = 64
"""Training points that an answer tells token by token at most."""
_ROUNDING = {"float32": 1e-4, "bfloat16": 0.05}
"""Difference between a score and its parts by the passes' precision, in units of the parts' sizes."""
_DEVIATIONS = 6
"""Standard deviations of the sum of a stored row's rounding errors that are allowed for."""


class TokenBreakdown:
    """Takes the scores of answers apart.

    Args:
        index: With stored rows.
        task: With its positions.
        featurizer: With the members' models.
    """

    def __init__(self, index: AttributionIndex, task: Task, featurizer: Featurizer) -> None:
        self._index, self._featurizer = index, featurizer
        self.task = task
        """Declares the positions."""

    def explain(self, query: PreparedQuery, answer: Answer) -> Answer:
        """Add the scores of tokens to an answer.

        Args:
            query: The question with its feature.
            answer: Its answer.

        Raises:
            BylineError: The question or a point cannot be taken apart.
        """
        query_texts = self._texts(query.items[0])
        listed = [*(answer.proponents or ()), *(answer.opponents or ())]
        points = list({point.row: point for point in listed}.values())  # both ends may share some
        rows = [point.row for point in points]
        with count_steps(None, 2) as advance:
            query_VT = self._by_query(query, rows)
            advance(1)
            training = self._by_training(query, rows)
            advance(1)
        found = {
            point.row: self._scores(query, point, query_T, training_T, query_texts)
            for point, query_T, training_T in zip(points, query_VT, training, strict=True)
        }
        return answer.model_copy(
            update={
                "query_tokens": query_texts or None,
                "proponents": _with_tokens(answer.proponents, found),
                "opponents": _with_tokens(answer.opponents, found),
            }
        )

    def _by_query(self, query: PreparedQuery, rows: Sequence[int]) -> NDArray[np.float64]:
        """Parts of the query's tokens, float64 [V, T]."""
        stored_VK = self._index.row_source.gather(np.array(rows, dtype=np.int64)).astype(np.float64)
        rows_VK = np.ldexp(stored_VK, -scale_exponents(self._index.manifest.stretches))
        target = query.target or self._index.recipe.query_target
        if not rows:
            return np.zeros((0, 0))
        asked = self._featurizer, query.items[0], target, torch.from_numpy(rows_VK)
        patches = self._patches
        return (query_positions(*asked) if patches is None else query_patches(*asked, patches)).numpy()

    def _by_training(self, query: PreparedQuery, rows: Sequence[int]) -> list[NDArray[np.float64]]:
        """Parts of the training points' tokens, float64 [T] each."""
        assert query.feature is not None
        items, weights_R = self._items(rows), self._index.row_weights
        weights = None if weights_R is None else [float(weights_R[row]) for row in rows]
        if self._patches is None:
            found = training_positions(self._featurizer, items, query.feature, weights)
        else:
            found = training_patches(self._featurizer, items, query.feature, self._patches, weights)
        return [parts_T.numpy() for parts_T in found]

    def _scores(
        self,
        query: PreparedQuery,
        point: Attribution,
        query_T: NDArray[np.float64],
        training_T: NDArray[np.float64],
        query_texts: Sequence[str],
    ) -> TokenScores:
        passes, row = self._rounding, self._row_rounding(query, point.row)
        by_query = settled(query_T, point.score, passes * _total(query_T)).tolist()
        by_training = settled(training_T, point.score, passes * _total(training_T) + row).tolist()
        patches = self._patches
        if patches is not None:
            return TokenScores(
                query_parts=tuple(by_query[:-1]),
                training_parts=tuple(by_training[:-1]),
                query_rest=by_query[-1],
                training_rest=by_training[-1],
                grid=(patches.rows, patches.columns),
            )
        scores = TokenScores(query_parts=tuple(by_query), training_parts=tuple(by_training))
        if point.example.preview is None:  # no text of it is shown anywhere
            return scores
        (item,) = self._items([point.row])
        return _with_texts(scores, query_texts, self._texts(item))

    def _items(self, rows: Sequence[int]) -> Sequence[Item]:
        """Read training points, which must be those of the build."""
        items, digests_R = read_items(self.task.train_set, rows), self._index.item_digests
        for row, item in zip(rows, items, strict=True):
            if digests_R is not None and short_digest(item) != digests_R[row]:
                raise StaleIndex(
                    f"training point {row} is not the one that this index was built from: rebuild the index, or restore "
                    f"the data"
                )
        return items

    @property
    def _rounding(self) -> float:
        """Relative error of a sum of slopes, as the build and this opening compute them."""
        probe = self._index.manifest.task.probe
        built = _ROUNDING["float32" if probe is None else probe.precision]
        return float(max(built, *(_ROUNDING[model.compute.precision] for model, _ in self._featurizer.parts)))

    def _row_rounding(self, query: PreparedQuery, row: int) -> float:
        """Bound a score's error by its stored row's rounding: independent errors add up as squares."""
        assert query.feature is not None
        query_K = self._index.query_vectors(query.feature.numpy(force=True)[None])[0].astype(np.float64)
        stored = np.finfo(self._index.manifest.storage.stored_type)
        row_K = self._index.row_source.gather(np.array([row], dtype=np.int64))[0].astype(np.float64)
        steps_K = np.maximum(np.abs(row_K) * float(stored.eps), float(stored.smallest_subnormal))
        return _DEVIATIONS * float(np.linalg.norm(steps_K * query_K)) / math.sqrt(12)

    @property
    def _patches(self) -> Patches | None:
        """The grid over images. None where the Task declares the positions of texts."""
        return self.task.patches if self.task.positions is None else None

    def _texts(self, item: Item) -> tuple[str, ...]:
        """Text of each position. None of images."""
        if self.task.positions is None:
            return ()
        with task_code():
            return tuple(self.task.positions.texts(item))


def _with_tokens(
    points: Sequence[Attribution] | None, found: Mapping[int, TokenScores]
) -> tuple[Attribution, ...] | None:
    if points is None:
        return None
    return tuple(point.model_copy(update={"tokens": found[point.row]}) for point in points)


def _with_texts(scores: TokenScores, query: Sequence[str], training: Sequence[str]) -> TokenScores:
    runs = copied_runs(query, training)
    copied = {run.training_start + place for run in runs for place in range(run.length)}
    return scores.model_copy(
        update={
            "texts": tuple(training),
            "copied": tuple(runs),
            "copied_score": float(sum(scores.training_parts[place] for place in sorted(copied))),
            "paragraphs": span_scores(training, scores.training_parts, paragraphs("".join(training))),
        }
    )


def _total(parts_T: NDArray[np.float64]) -> float:
    return float(np.abs(parts_T).sum())


def settled(parts_T: NDArray[np.float64], score: float, rounding: float) -> NDArray[np.float64]:
    """Share the rounding of stored rows out over the parts, by their size, so that they add up to the score.

    Args:
        parts_T: Parts of the score, as they were computed anew.
        score: As it was found.
        rounding: Difference between the two that is explained.

    Raises:
        StaleIndex: They differ by more than rounding.
    """
    missing, size = score - float(parts_T.sum()), _total(parts_T)
    if abs(missing) > rounding:
        raise StaleIndex(
            "expected parts of tokens that add up to the score of the stored row, got another sum: the training points or "
            "the query's texts are not those that this index was built from. Rebuild the index, or restore the data"
        )
    return parts_T if size == 0 else parts_T + missing / size * np.abs(parts_T)


def make_breakdown(
    index: AttributionIndex, task: Task | None, featurizer: GradientFeaturizer | None
) -> TokenBreakdown | None:
    """Make what takes scores apart, where there is a Task."""
    if task is None or not isinstance(featurizer, Featurizer):
        return None
    return TokenBreakdown(index, task, featurizer)


def require_separable(index: AttributionIndex, breakdown: TokenBreakdown | None) -> TokenBreakdown:
    """Require that scores of an index can be told token by token.

    Args:
        index: The opened index.
        breakdown: Takes scores apart, where the index was opened with its Task.

    Returns:
        What takes them apart.

    Raises:
        InvalidQuery: They cannot.
    """
    refuse_inseparable(index.recipe)
    if index.groups is not None:
        raise InvalidQuery(
            "tokens takes training points apart, and the rows of this index are groups: leave it out"
        )
    if breakdown is None:
        raise InvalidQuery(
            "tokens differentiates the query and training points, and this index was opened without its Task: leave it out"
        )
    if not index.exact:
        raise InvalidQuery(
            "tokens needs stored rows, and this index keeps compressed codes only: leave it out, or build with "
            "storage.keep = 'rows'"
        )
    if breakdown.task.positions is None and breakdown.task.patches is None:
        raise InvalidQuery(
            "tokens needs Task.positions, which says what each position's loss is, or Task.patches, and this index's Task "
            "declares neither: declare byline.Positions, or leave tokens out"
        )
    _require_target(breakdown.task.positions, index.recipe.train_signal)
    return breakdown


def _require_target(positions: Positions | None, target: str) -> None:
    if positions is not None and target not in positions.values:
        raise InvalidQuery(
            f"tokens takes the targets {', '.join(sorted(positions.values))} apart, which Task.positions declares, got "
            f"another one"
        )


def tells_tokens(index: AttributionIndex, breakdown: TokenBreakdown | None) -> bool:
    """Tell whether questions to an index may ask for tokens."""
    try:
        require_separable(index, breakdown)
    except InvalidQuery:
        return False
    return True


def require_tokens(
    index: AttributionIndex, breakdown: TokenBreakdown | None, question: CheckedRequest
) -> CheckedRequest:
    """Require that a question's scores can be told token by token, and count the passes that it takes.

    Args:
        index: The opened index.
        breakdown: Takes scores apart, where the index was opened with its Task.
        question: The question, checked in everything else.

    Returns:
        The question with its passes.

    Raises:
        InvalidQuery: They cannot.
        StaleIndex: The Task has fewer or more training points.
    """
    task, request = require_separable(index, breakdown).task, question.request
    _require_target(task.positions, question.target or index.recipe.query_target)
    require_points(task, index)
    points = request.k * (2 if request.direction == "both" else 1)
    if points > MOST_POINTS:
        raise InvalidQuery(f"expected tokens of at most {MOST_POINTS} training points, got {points}: lower k")
    return replace(question, told=2 * points)
