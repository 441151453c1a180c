"""Standard errors from the spread between the independent units of an ensemble, and the noise of the other scores.

Letters: M members, U units.

Members that share a trained part are correlated, so the unit is the outermost part that differs: the checkpoint
where there are several, else the adapter where there are several, else the mask. What is nested inside a unit is
averaged first. With w_u the part of the members that are the unit's, the score is sum_u w_u mean_u, and

    SE = sqrt(sum_u w_u^2) std(means, ddof=1)

which is std / sqrt(U) where all units have as many members. With unequal numbers it is unbiased where units differ,
and too large rather than too small where the members inside them do. Intervals take Student's t with U - 1 degrees
of freedom (`byline.metrics.intervals`).

An answer's best score is compared with the noise of the others. Let the scores of a fixed, evenly spaced sample of all
rows have median c and robust spread s = 1.4826 x median |score - c|. Among n rows of Gaussian noise the largest is
expected at about s sqrt(2 ln n) above c. The best proponent stands out if it lies farther above c than that and its 95 %
interval lies above zero (the score itself where no interval is known). Opponents are the mirror image. The sample is of
all rows, also where a filter left n of them: the noise is that of the training set, and the best of a filter can lie on
the wrong side of c. Scores usually have heavier tails than a Gaussian: the bar is low, and an answer that fails it should
not be believed.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from byline.api.terms import Direction, ErrorScope
from byline.members import Member


def error_scope(members: Sequence[Member]) -> ErrorScope | None:
    """Tell what a standard error over these members covers.

    Returns:
        `between_checkpoints` with several checkpoints, `within_checkpoint` with several adapters or masks of
        one, None with a single member, or where checkpoints of one run are weighted by their learning
        rate: nothing is known about the error then.
    """
    if any(member.weight is not None for member in members):
        return None
    if len({member.checkpoint for member in members}) > 1:
        return "between_checkpoints"
    return "within_checkpoint" if len(members) > 1 else None


def member_units(members: Sequence[Member]) -> tuple[int, ...]:
    """Tell which independent unit each member belongs to.

    Returns:
        [M]: the position of the checkpoint where there are several, else of the adapter where there are
        several, else the member's own.
    """
    checkpoints = tuple(member.checkpoint for member in members)
    if len(set(checkpoints)) > 1:
        return checkpoints
    adapters = tuple(-1 if member.adapter is None else member.adapter for member in members)
    return adapters if len(set(adapters)) > 1 else tuple(range(len(members)))


def unit_count(members: Sequence[Member]) -> int | None:
    """Count the independent units behind a standard error over these members. None where there is no error."""
    return None if error_scope(members) is None else len(set(member_units(members)))


def unit_scores(scores_xM: NDArray[np.float64], members: Sequence[Member]) -> NDArray[np.float64]:
    """Reduce members to the units whose spread is the error.

    Args:
        scores_xM: Scores by member along the last axis, in the order of `members`.
        members: The ensemble.

    Returns:
        float64 [..., U]: the mean of each unit's members.
    """
    units_M = np.array(member_units(members))
    means = [scores_xM[..., units_M == unit].mean(axis=-1) for unit in np.unique(units_M)]
    return np.stack(means, axis=-1)


def imbalance(members: Sequence[Member]) -> float:
    """U sum_u w_u^2: by how much unequal units raise the variance of a mean; 1 where all have as many members."""
    sizes = Counter(member_units(members)).values()
    return len(sizes) * sum(size**2 for size in sizes) / len(members) ** 2


def standard_errors(scores_xM: NDArray[np.float64], members: Sequence[Member]) -> NDArray[np.float64] | None:
    """Standard error of the mean score.

    Args:
        scores_xM: Scores by member along the last axis, in the order of `members`.
        members: The ensemble.

    Returns:
        float64 [...], or None with a single member.
    """
    if error_scope(members) is None:
        return None
    units_xU = unit_scores(scores_xM, members)
    deviation: NDArray[np.float64] = units_xU.std(axis=-1, ddof=1) * np.sqrt(
        imbalance(members) / units_xU.shape[-1]
    )
    return deviation


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
    """Decide whether the best score of an answer stands out from the noise of the others.

    Args:
        end: Which end `best` is of.
        best: The score at rank 1: the largest of the proponents, or the smallest of the opponents.
        half_width: Half the width of its 95 % interval (`byline.metrics.intervals.half_width`), None with a single member.
        sample_S: Scores of the sampled rows for the same query.
        searched: Number n of rows that `best` is the best of.

    Returns:
        True or False. None where the sample is too small or has no spread.
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
