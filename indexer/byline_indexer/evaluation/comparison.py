"""Hold scores against a truth: pure arithmetic, whatever the scores come from.

Letters: J rows of the index, S subsets, T seeds, Q queries.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byline.api.quality_card import BaselineFigure
from byline.metrics import (
    Interval,
    NoiseCeiling,
    agreement,
    noise_ceiling,
    pearson,
    predicted_outputs,
    resampled_means,
)


@dataclass(frozen=True)
class Comparison:
    """How well summed scores predict the outputs of retrained models."""

    rank_Q: NDArray[np.float64]
    """Spearman's correlation over the subsets, for each query. NaN where the outputs do not vary."""
    linear_Q: NDArray[np.float64]
    """Pearson's correlation, in the same way."""
    draws: NDArray[np.float64]
    """Mean rank correlation of each bootstrap draw of queries and subsets."""
    ceiling: NoiseCeiling | None
    """The limit that the seeds set. None for one seed."""

    @property
    def value(self) -> float:
        """Mean rank correlation over the queries whose outputs vary: the LDS, on random subsets."""
        return float(np.nanmean(self.rank_Q))

    @property
    def interval(self) -> Interval | None:
        """95 % bootstrap interval of the mean rank correlation. None where no query's outputs vary."""
        bounds = _middle(self.draws)
        return None if bounds is None else Interval(*bounds)

    @property
    def dropped(self) -> int:
        """Number of queries whose outputs do not vary."""
        return int(np.isnan(self.rank_Q).sum())


def compare(
    scores_QJ: NDArray[np.floating], subsets_SJ: NDArray[np.bool_], outputs_TSQ: NDArray[np.float64]
) -> Comparison:
    """Compare summed scores with outputs of models that were retrained on subsets.

    Args:
        scores_QJ: Score of every row for every query.
        subsets_SJ: The rows that each model was trained on.
        outputs_TSQ: Outputs of the model of every seed and subset for every query.

    Returns:
        The comparison.
    """
    predicted_SQ = predicted_outputs(scores_QJ, subsets_SJ)
    outputs_SQ = outputs_TSQ.mean(axis=0)
    return Comparison(
        rank_Q=agreement(predicted_SQ, outputs_SQ),
        linear_Q=agreement(predicted_SQ, outputs_SQ, pearson),
        draws=resampled_means(predicted_SQ, outputs_SQ),
        ceiling=noise_ceiling(outputs_TSQ),
    )


def compare_baseline(
    found: Comparison, baseline_SQ: NDArray[np.float64], outputs_SQ: NDArray[np.float64]
) -> BaselineFigure:
    """Compare a baseline's predictions with the outputs, and the scores' predictions with the baseline's.

    Args:
        found: The comparison of the index's scores with the same outputs.
        baseline_SQ: Summed scores of the baseline.
        outputs_SQ: Outputs of the retrained models, averaged over their seeds. Some vary.

    Returns:
        The baseline's mean rank correlation, and the bootstrap interval of the index's lead.
    """
    draws = resampled_means(baseline_SQ, outputs_SQ)
    return BaselineFigure(
        value=float(np.nanmean(agreement(baseline_SQ, outputs_SQ))),
        interval=_middle(draws),
        lead=_middle(found.draws - draws),  # the draws depend on the outputs alone, so they are the same
    )


def _middle(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """From the 2.5th to the 97.5th percentile."""
    if not len(values):
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
