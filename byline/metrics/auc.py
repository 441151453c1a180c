"""Area under the ROC curve of a number that should tell wrong rows from right ones. Letter: R rows."""

import numpy as np
from numpy.typing import NDArray

from byline.metrics.correlation import ranks
from byline.metrics.lds import Interval


def auc(values_R: NDArray[np.floating], wrong_R: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: how often a wrong row's value is above a right one's, ties counting half.

    Args:
        values_R: A number for each row, finite. Large where the row looks wrong.
        wrong_R: Which rows are. Some of each kind.

    Returns:
        0.5 for chance, 1 where all wrong rows come first.
    """
    ranks_R = ranks(np.asarray(values_R, dtype=np.float64)[:, None])[:, 0]
    wrong, right = int(wrong_R.sum()), int((~wrong_R).sum())
    above = ranks_R[wrong_R].sum() - wrong * (wrong + 1) / 2
    return float(above / (wrong * right))


def auc_interval(
    values_R: NDArray[np.floating], wrong_R: NDArray[np.bool_], draws: int = 1000, seed: int = 0
) -> Interval:
    """Bootstrap the area over wrong rows and right rows, each among themselves.

    Args:
        values_R: As for `auc`.
        wrong_R: As for `auc`.
        draws: Resamples.
        seed: Seed of the draws.

    Returns:
        From the 2.5th to the 97.5th percentile.
    """
    generator = np.random.default_rng(seed)
    wrong, right = np.flatnonzero(wrong_R), np.flatnonzero(~wrong_R)
    found = []
    for _ in range(draws):
        drawn = np.concatenate(
            [generator.choice(wrong, len(wrong)), generator.choice(right, len(right))],
        )
        found.append(auc(values_R[drawn], wrong_R[drawn]))
    low, high = np.quantile(found, [0.025, 0.975])
    return Interval(float(low), float(high))
