"""The noise ceiling: the best correlation that scores could reach, since retrained models differ by their seeds.

Letters: T seeds, S subsets, Q queries.
"""

from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np

from byline.metrics.correlation import Floats, spearman
from byline.metrics.lds import Correlation, agreement

MOST_SPLITS = 50
"""Splits of the seeds that are averaged, at most."""


@dataclass(frozen=True)
class NoiseCeiling:
    """The noise ceiling and its ingredients."""

    halves: float
    """r: correlation over the subsets between the mean outputs of two disjoint halves of the seeds, T // 2 seeds each,
    averaged over queries and over splits."""
    ceiling: float
    """Correlation that perfect scores would reach against the mean over all T seeds:
    1 / sqrt(1 + v / T), with the noise v = (T // 2) (1 / r - 1) of one seed in units of the signal's variance; for an
    even T it is the square root of the Spearman-Brown reliability, sqrt(2 r / (1 + r)). 0 where r is not positive."""


def noise_ceiling(outputs_TSQ: Floats, correlation: Correlation = spearman) -> NoiseCeiling | None:
    """Measure how well one half of the seeds predicts the other.

    The formula holds for Pearson's correlation of independent seeds and is an approximation for Spearman's.

    Args:
        outputs_TSQ: Outputs of the model of every seed and subset for every query.
        correlation: Spearman's for the LDS.

    Returns:
        The ceiling. None for one seed, or where no query's outputs vary.
    """
    seeds = len(outputs_TSQ)
    half = seeds // 2
    if half == 0:
        return None
    everything = range(seeds)
    splits = (
        (first, second)
        for first in combinations(everything, half)
        for second in combinations([t for t in everything if t not in first], half)
        if first < second
    )
    found = [
        agreement(outputs_TSQ[list(a)].mean(axis=0), outputs_TSQ[list(b)].mean(axis=0), correlation)
        for a, b in islice(splits, MOST_SPLITS)
    ]
    if np.isnan(found).all():
        return None
    r = float(np.nanmean(found))
    if r <= 0:
        return NoiseCeiling(r, 0.0)
    noise = half * (1 / r - 1)
    return NoiseCeiling(r, float(1 / np.sqrt(1 + noise / seeds)))
