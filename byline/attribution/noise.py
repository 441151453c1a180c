"""Does the best score stand out from the noise of the others?

The rule. Let the scores of a fixed, evenly spaced sample of all rows have median c and robust
spread s = 1.4826 x median |score - c|. Among n rows of Gaussian noise the largest is expected at
about s sqrt(2 ln n) above c, so the best proponent stands out if it lies farther above c than that
and its 95 % interval lies above zero (itself where no interval is known).
Opponents are the mirror image. The sample is of all rows also where a filter left n of them: the
noise is that of the training set, and the best of a filter can lie on the wrong side of c. Scores are
usually heavier-tailed than a Gaussian: the bar is low, and an answer that fails it should not be
believed.
"""

import numpy as np
from numpy.typing import NDArray

from byline.api.terms import Direction

SAMPLE_ROWS = 1024
"""Rows that the spread is measured on: enough for a spread to about 4 %."""
FEWEST_ROWS = 32
"""Below this many rows a robust spread says nothing, and the answer is None."""


def sample_rows(rows: int) -> NDArray[np.int64]:
    """Choose the rows of the sample: evenly spaced, the same for every query."""
    return np.unique(np.linspace(0, rows - 1, min(rows, SAMPLE_ROWS)).astype(np.int64))


def stands_out(
    end: Direction, best: float, half_width: float | None, sample_S: NDArray[np.float64], searched: int
) -> bool | None:
    """Apply the rule of this module to one answer.

    Args:
        end: The end that `best` belongs to: `proponents` or `opponents`.
        best: The score at rank 1: the largest of the proponents, or the smallest of the opponents.
        half_width: Of its 95 % interval (`byline.metrics.intervals.half_width`), None with a single member.
        sample_S: Scores of the sampled rows for the same query.
        searched: Number n of rows that `best` is the best of.

    Returns:
        True or False; None where the sample is too small or has no spread.
    """
    if len(sample_S) < FEWEST_ROWS or searched < 2:
        return None
    centre = float(np.median(sample_S))
    spread = 1.4826 * float(np.median(np.abs(sample_S - centre)))
    if spread == 0 or not np.isfinite(spread):
        return None
    outwards = 1 if end == "proponents" else -1
    beyond_noise = outwards * (best - centre) > spread * np.sqrt(2 * np.log(searched))
    beyond_error = outwards * best > (half_width or 0.0)
    return bool(beyond_noise and beyond_error)
