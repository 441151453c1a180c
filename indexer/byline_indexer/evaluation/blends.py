"""Compare blends of influence and a baseline with retrained models: which weight to use, and what it gains.

Letters: Q queries, J rows of the index, S subsets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byline.api.blend import Blend
from byline.api.terms import Similarity
from byline.attribution.baseline_ranking import fit_baseline
from byline.attribution.opening import load_featurizer
from byline.baselines import FitOptions
from byline.baselines.blend import blend_scores
from byline.index.index import AttributionIndex
from byline.metrics import agreement, predicted_outputs
from byline.models.training_points import EVALUATION, read_items
from byline.task import Item, Task
from byline_indexer.evaluation.subject import Subject
from byline_indexer.evaluation.truth import Truth

WEIGHTS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, float("inf"))
"""Weights that are tried: from influence alone to the baseline alone."""


@dataclass(frozen=True)
class BlendLds:
    """The LDS of one weight."""

    weight: float
    """0 is influence alone. Infinity is the baseline alone."""
    lds: float
    """Mean LDS over the queries whose truth varies."""


def lds_by_weight(
    influence_QJ: NDArray[np.floating[Any]],
    baseline_QJ: NDArray[np.floating[Any]],
    subsets_SJ: NDArray[np.bool_],
    outputs_SQ: NDArray[np.float64],
    weights: Sequence[float] = WEIGHTS,
) -> list[BlendLds]:
    """List the LDS of blends by weight.

    z-scores sum to zero over all rows. Where subsets differ in size, weight 0 may differ from the LDS of the plain scores.

    Args:
        influence_QJ: Influence of all rows, [Q, J].
        baseline_QJ: The baseline's scores of the same rows, [Q, J].
        subsets_SJ: Rows of each subset, [S, J].
        outputs_SQ: Mean outputs of the models trained on each subset, [S, Q].
        weights: Weights to try.

    Returns:
        One LDS for each weight, in their order.
    """
    found = []
    for weight in weights:
        predicted_SQ = predicted_outputs(blend_scores(influence_QJ, baseline_QJ, weight), subsets_SJ)
        found.append(BlendLds(weight, float(np.nanmean(agreement(predicted_SQ, outputs_SQ)))))
    return found


def blend_lds(
    subject: Subject, index: AttributionIndex, scores_QJ: NDArray[np.floating[Any]], truth: Truth
) -> dict[str, float]:
    """Measure the build file's blend on the reported queries.

    Args:
        subject: The evaluation.
        index: Its index.
        scores_QJ: Influence of all rows for the reported queries, [Q, J].
        truth: Retrained models.

    Returns:
        The LDS by a name that holds baseline and weight, such as `blend-bm25-0.25`. Empty without a blend.
    """
    blend, reported = subject.config.blend, subject.split.reported
    if blend is None:
        return {}
    items = read_items(subject.evaluation_set, reported, EVALUATION)
    similar_QJ = baseline_scores(index, subject.task, blend.baseline, items)
    outputs_SQ = truth.of(reported).mean(axis=0)
    (found,) = lds_by_weight(scores_QJ, similar_QJ, truth.subsets_SJ, outputs_SQ, [blend.weight])
    return {f"blend-{blend.baseline}-{blend.weight:g}": found.lds}


def fitted_blend(baseline: Similarity, found: Sequence[BlendLds]) -> Blend | None:
    """Take the weight with the largest LDS, if a blend beats both of its parts.

    Args:
        baseline: The blended baseline.
        found: The LDS by weight, with those of both parts among them.

    Returns:
        The blend; of equal weights the smallest. None where influence or the baseline alone is as good.
    """
    best = max(found, key=lambda each: (each.lds, -each.weight))
    return Blend(baseline=baseline, weight=best.weight) if 0 < best.weight < np.inf else None


def baseline_scores(
    index: AttributionIndex, task: Task, name: Similarity, items: Sequence[Item]
) -> NDArray[np.float64]:
    """Score every row of an index by a baseline, for items of the data set's kind.

    Args:
        index: The opened index, of training points.
        task: The Task that it was built from.
        name: The baseline.
        items: Q complete queries.

    Returns:
        float64 [Q, J].

    Raises:
        InvalidInput: The index has groups, or the Task lacks the form that the baseline compares (`InvalidTask`).
    """
    fitting = FitOptions(model=load_featurizer(index, task).model)
    return fit_baseline(index, task, name, fitting).scores(items)
