"""Linear datamodeling score: the rank correlation of summed scores with outputs of models retrained on subsets.

The linear datamodelling score (LDS; Ilyas et al. 2022, Park et al. 2023) of a query is the Spearman correlation, over
the subsets, of the sum of the scores of the subset's rows and the output of the model trained on that subset. Where every
subset leaves one row out, the same arithmetic is leave-one-out correlation.

Letters: Q queries, R rows of an index, S retrained subsets.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byline.metrics.correlation import Floats, spearman

Correlation = Callable[[Floats, Floats], Floats]
"""`(predicted_SQ, outputs_SQ) -> values_Q`."""


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % confidence interval."""

    low: float
    high: float


def predicted_outputs(scores_QR: NDArray[np.floating], subsets_SR: NDArray[np.bool_]) -> Floats:
    """Sum every query's scores over every subset.

    The scores of what was left out are subtracted from zero in place of adding up what was kept: each query's numbers
    differ from the sums by one constant, which no correlation sees, and single rows that are left out keep their digits.

    Args:
        scores_QR: Score of every row for every query.
        subsets_SR: Which rows each model was trained on.

    Returns:
        float64 [S, Q].
    """
    left_out_SR = np.logical_not(subsets_SR).astype(np.float64)
    predicted_SQ: Floats = -(left_out_SR @ np.asarray(scores_QR, dtype=np.float64).T)
    return predicted_SQ


def agreement(predicted_SQ: Floats, outputs_SQ: Floats, correlation: Correlation = spearman) -> Floats:
    """Correlate every query's predicted outputs with its real ones.

    Args:
        predicted_SQ: From `predicted_outputs`.
        outputs_SQ: Outputs of the retrained models, averaged over their seeds.
        correlation: Spearman's for the LDS.

    Returns:
        float64 [Q]. NaN where the real outputs are all equal: there is nothing to predict, and the query is dropped.
        0 where only the predicted ones are: such scores rank nothing, and dropping the query would hide that.
    """
    found_Q = correlation(predicted_SQ, outputs_SQ)
    found_Q = np.where(np.ptp(predicted_SQ, axis=0) == 0, 0.0, found_Q)
    return np.where(np.ptp(outputs_SQ, axis=0) == 0, np.nan, found_Q)


def two_way_interval(
    predicted_SQ: Floats,
    outputs_SQ: Floats,
    correlation: Correlation = spearman,
    draws: int = 1000,
    seed: int = 0,
) -> Interval | None:
    """Bootstrap the mean agreement over queries and subsets at once.

    Args:
        predicted_SQ: From `predicted_outputs`.
        outputs_SQ: Outputs of the retrained models.
        correlation: As for `agreement`.
        draws: Resamples.
        seed: Seed of the draws.

    Returns:
        From the 2.5th to the 97.5th percentile of `resampled_means`. None where no query's outputs vary.
    """
    means = resampled_means(predicted_SQ, outputs_SQ, correlation, draws, seed)
    if not len(means):
        return None
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(low), float(high))


def resampled_means(
    predicted_SQ: Floats,
    outputs_SQ: Floats,
    correlation: Correlation = spearman,
    draws: int = 1000,
    seed: int = 0,
) -> Floats:
    """Average the agreement over resampled queries and subsets.

    Each draw takes S subsets and Q queries with replacement, from the queries whose real outputs vary, and averages over
    those that still do. The draws depend on the outputs alone: two predictions of the same outputs have paired draws.

    Args:
        predicted_SQ: From `predicted_outputs`.
        outputs_SQ: Outputs of the retrained models.
        correlation: As for `agreement`.
        draws: Number of resamples.
        seed: Seed of the draws.

    Returns:
        One mean a draw, float64. Draws in which no output varies are left out.
    """
    varies_Q = np.ptp(outputs_SQ, axis=0) > 0
    predicted_SQ, outputs_SQ = predicted_SQ[:, varies_Q], outputs_SQ[:, varies_Q]
    subsets, queries = outputs_SQ.shape
    generator = np.random.default_rng(seed)
    means = []
    for _ in range(draws if queries else 0):
        pick = np.ix_(generator.integers(0, subsets, subsets), generator.integers(0, queries, queries))
        found_Q = agreement(predicted_SQ[pick], outputs_SQ[pick], correlation)
        if not np.isnan(found_Q).all():
            means.append(np.nanmean(found_Q))
    return np.array(means)
