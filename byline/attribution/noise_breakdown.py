"""Answers over independent draws of a query's noise: the standard error of each listed score, and its parts by band.

The query's feature is that of its mean loss over the replicates, so a score is the mean of the replicates' scores. Each
replicate is differentiated once more, band by band where the target is the loss.
Letters: B replicates, V listed points, K numbers of a feature.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from byline.api.answer import Answer
from byline.api.answer_parts import Attribution
from byline.api.noise_scores import BandScore, NoiseScore
from byline.attribution.queries import CheckedRequest, PreparedQuery
from byline.errors import InvalidQuery
from byline.features.queries import Featurizer, GradientFeaturizer
from byline.index.index import AttributionIndex
from byline.progress import count_steps
from byline.task import NoiseDraws, Task


class NoiseBreakdown:
    """Takes the scores of answers apart by replicate and by band.

    Args:
        index: With stored rows.
        noise: The Task's draws.
        featurizer: With the members' models.
    """

    def __init__(self, index: AttributionIndex, noise: NoiseDraws, featurizer: Featurizer) -> None:
        self._index, self._noise, self._featurizer = index, noise, featurizer

    def explain(self, query: PreparedQuery, answer: Answer) -> Answer:
        """Add standard errors over replicates and parts by band to an answer.

        Args:
            query: The question, whose items are the replicates of one query.
            answer: Its answer.

        Raises:
            BylineError: The question or a point cannot be taken apart.
        """
        target = query.target or self._index.recipe.query_target
        names = [*self._noise.bands] if target == "loss" and self._noise.bands else [target]
        rows = sorted({point.row for point in [*(answer.proponents or ()), *(answer.opponents or ())]})
        rows_VK = self._index.row_source.gather(np.array(rows, dtype=np.int64)).astype(np.float64)
        parts: dict[str, NDArray[np.float64]] = {}
        with count_steps("noise", len(names)) as advance:
            for name in names:
                features_BK = self._index.query_vectors(self._featurizer.query(query.items, name))
                parts[name] = features_BK.astype(np.float64) @ rows_VK.T / len(names)
                advance(1)
        found = {
            row: _scores({n: parts_BV[:, v] for n, parts_BV in parts.items()}) for v, row in enumerate(rows)
        }
        return answer.model_copy(
            update={
                "replicates": len(query.items),
                "proponents": _with_noise(answer.proponents, found),
                "opponents": _with_noise(answer.opponents, found),
            }
        )


def _scores(parts: Mapping[str, NDArray[np.float64]]) -> NoiseScore:
    """Sum up one row's scores [B] by band."""
    bands = tuple(
        BandScore(target=name, score=float(part_B.mean()), standard_error=_error(part_B))
        for name, part_B in parts.items()
    )
    whole_B = np.sum(list(parts.values()), axis=0)
    return NoiseScore(standard_error=_error(whole_B), bands=bands if len(bands) > 1 else ())


def _error(values_B: NDArray[np.float64]) -> float | None:
    count = len(values_B)
    return None if count < 2 else float(values_B.std(ddof=1) / np.sqrt(count))


def _with_noise(
    points: Sequence[Attribution] | None, found: Mapping[int, NoiseScore]
) -> tuple[Attribution, ...] | None:
    if points is None:
        return None
    return tuple(point.model_copy(update={"noise": found[point.row]}) for point in points)


def make_noise_breakdown(
    index: AttributionIndex, task: Task | None, featurizer: GradientFeaturizer | None
) -> NoiseBreakdown | None:
    """Make what takes scores apart by replicate and band, where a Task declares its draws."""
    if task is None or task.noise is None or not isinstance(featurizer, Featurizer):
        return None
    return NoiseBreakdown(index, task.noise, featurizer)


def refuse_without_noise(index: AttributionIndex, task: Task | None) -> None:
    """Require that scores of an index can be told by replicate and by band.

    Args:
        index: The opened index.
        task: The index's.

    Raises:
        InvalidQuery: They cannot.
    """
    if task is None:
        raise InvalidQuery(
            "replicates differentiates the query, and this index was opened without its Task: leave it out"
        )
    if task.noise is None:
        raise InvalidQuery(
            "replicates needs Task.noise, which says how a loss's random draws are made anew, and this index's Task "
            "declares none: leave it out, or declare byline.task.NoiseDraws, as byline.tasks.denoiser does"
        )
    if index.recipe.unit_norm or index.recipe.sides == "solved":
        what = (
            "divides features by their length" if index.recipe.unit_norm else "solves each query as a whole"
        )
        raise InvalidQuery(
            f"replicates averages scores that are linear in the query's gradient, and recipe '{index.recipe.name}' "
            f"{what}: leave it out, or build with another recipe"
        )
    if not index.exact:
        raise InvalidQuery(
            "replicates needs stored rows, and this index keeps compressed codes only: leave it out, or build with "
            "storage.keep = 'rows'"
        )


def tells_noise(index: AttributionIndex, task: Task | None) -> bool:
    """Tell whether questions to an index may ask for replicates."""
    try:
        refuse_without_noise(index, task)
    except InvalidQuery:
        return False
    return True


def require_noise(index: AttributionIndex, task: Task | None, question: CheckedRequest) -> CheckedRequest:
    """Require that a question's scores can be told by replicate, and count the passes that it takes.

    Args:
        index: The opened index.
        task: The index's.
        question: The question, checked in everything else.

    Returns:
        The question with its passes: each replicate is differentiated for the search, and by band.

    Raises:
        InvalidQuery: They cannot.
    """
    refuse_without_noise(index, task)
    return replace(question, drawn=2 * question.request.replicates - 1)
