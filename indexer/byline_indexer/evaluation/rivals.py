"""Baselines beside the settings of `byline tune`: blended with the best, and as rivals that cost no gradients.

Letters: E scored items, J rows, S subsets, Q tuning queries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from byline.api.blend import Blend
from byline.api.quality_card import BaselineFigure
from byline.api.terms import Similarity
from byline.baselines import FittedBaseline
from byline.baselines.blend import blend_scores
from byline.errors import InvalidInput
from byline.metrics import predicted_outputs
from byline.models.training_points import EVALUATION, read_items
from byline.task import Item
from byline_indexer.evaluation.baselines import fitted_baselines
from byline_indexer.evaluation.blends import WEIGHTS
from byline_indexer.evaluation.comparison import compare, compare_baseline
from byline_indexer.evaluation.trials import TIMED, Trial, Trials, median_milliseconds


@dataclass(frozen=True)
class Similar:
    """A baseline's scores of the same items and rows as the trials'."""

    name: Similarity
    scores_EJ: NDArray[np.float64]
    milliseconds: float
    """Median time of one query."""


def similarities(trials: Trials, best: Trial) -> list[Similar]:
    """Score the items by every baseline that the Task has what it takes for.

    Args:
        trials: Task and items.
        best: Its first member's model represents items.

    Returns:
        One for each baseline. None for an index of groups, which baselines do not rank.
    """
    subject = trials.subject
    if subject.config.groups is not None:
        return []
    found = []
    items = read_items(subject.evaluation_set, trials.items, EVALUATION)
    first = best.candidate.recipe.members.of(subject.task.checkpoints)[0]
    for name, fitted in fitted_baselines(subject, first):
        try:
            scores_EJ = fitted.scores(items)
        except InvalidInput as error:
            subject.observer.message(f"baseline {name} left out: {error}")
            continue
        timed = items[: min(TIMED, trials.tuning)]
        found.append(Similar(name, scores_EJ, median_milliseconds(partial(_ask, fitted), timed)))
    return found


def _ask(fitted: FittedBaseline, item: Item) -> None:
    fitted.scores([item])


def blended(
    trials: Trials, best: Trial, similar: Sequence[Similar], weights: Sequence[float] | None
) -> list[Trial]:
    """Measure the best setting with every weight of every baseline. No index is built for it.

    Args:
        trials: Keeps the scores.
        best: A setting without a blend.
        similar: The baselines' scores.
        weights: Weights to try. None takes those of `WEIGHTS`.

    Returns:
        One trial for each baseline and weight above 0.
    """
    plain = replace(best.candidate, refine=0)  # a question takes a baseline or steps, not both
    kept, truth = trials.scores(plain)
    tried = [weight for weight in weights or WEIGHTS if 0 < weight < np.inf]
    return [
        trials.trial(
            replace(plain, blend=Blend(baseline=each.name, weight=weight)),
            blend_scores(kept.scores_EJ, each.scores_EJ, weight),
            replace(kept.cost, milliseconds=kept.cost.milliseconds + each.milliseconds),
            truth,
        )
        for each in similar
        for weight in tried
    ]


def compare_rivals(
    trials: Trials, best: Trial, similar: Sequence[Similar]
) -> Mapping[Similarity, BaselineFigure]:
    """Compare a setting with baselines alone: a paired bootstrap over tuning queries and subsets.

    Args:
        trials: Keeps the scores.
        best: A setting without a blend.
        similar: The baselines' scores.

    Returns:
        Each baseline's LDS on the tuning queries, and the setting's lead over it.
    """
    kept, truth = trials.scores(best.candidate)
    outputs_TSQ = truth.of(trials.items[: trials.tuning])
    ours = compare(kept.scores_EJ[: trials.tuning], truth.subsets_SJ, outputs_TSQ)
    return {
        each.name: compare_baseline(
            ours,
            predicted_outputs(each.scores_EJ[: trials.tuning], truth.subsets_SJ),
            outputs_TSQ.mean(axis=0),
        )
        for each in similar
    }
