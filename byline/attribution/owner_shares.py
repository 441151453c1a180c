"""Each owner's share of an answer: the compensation formula.

Letters: O owners, M members, U independent units (`uncertainty.member_units`).

    S_j     = signed sum of the scores of all of owner j's rows
    share_j = max(S_j, 0) / sum_l max(S_l, 0)

The positive part is taken after the owner's sum, so splitting an owner whose works have one sign
changes nothing. What is clipped is reported: no owner is charged for this influence.
Standard errors of the shares are the delete-one jackknife over the units,
sqrt((U-1)/U sum_u (share_(-u) - mean)^2): unlike the delta method it sees an owner who is clipped
in some units and not in others. (Times the root of `uncertainty.imbalance` where units have unequal numbers of
members.)

A two-sided interval of a share is that of the part S_j / sum_l max(S_l, 0), which is the share before it is clipped,
cut to 0..1: a share of 0 has no spread of its own, while the owner's true share may well be above it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byline.attribution.uncertainty import imbalance, standard_errors, unit_count, unit_scores
from byline.members import Member
from byline.metrics.intervals import half_width


@dataclass(frozen=True, kw_only=True)
class OwnerSums:
    """Scores and shares of all owners, in the order in which the owners were given."""

    score: NDArray[np.float64]
    """S_j: the signed sum over all of the owner's rows, a mean over the members."""
    score_error: NDArray[np.float64] | None
    """Standard error of `score`. None with a single member."""
    share: NDArray[np.float64] | None
    """Parts of one. None where no owner's sum is positive, for there is nothing to share then."""
    share_error: NDArray[np.float64] | None
    """Standard error of `share`. None with a single member or without shares."""
    share_interval: NDArray[np.float64] | None
    """[O, 2]: 95 % interval of `share`, between 0 and 1; None with a single member or without shares."""
    units: int | None
    """Independent units behind the standard errors. None with a single member."""
    positive: float
    """sum_j max(S_j, 0): what is shared."""
    clipped: float
    """sum_j max(-S_j, 0): what the positive part leaves out."""


def owner_sums(scores_OM: NDArray[np.float64], members: Sequence[Member]) -> OwnerSums:
    """Compute every owner's share of one answer, with its standard error.

    Args:
        scores_OM: Signed sums over each owner's rows by member. Their mean is the score.
        members: The ensemble, in the order of the last axis.

    Returns:
        Scores, shares, their standard errors and the clipped mass.
    """
    score_O = scores_OM.mean(axis=-1)
    part_O, units = _parts(score_O), unit_count(members)
    error = interval = None
    if part_O is not None and units is not None:
        without_UO = _parts_without(unit_scores(scores_OM, members))
        uneven = float(np.sqrt(imbalance(members)))
        error = uneven * _jackknife(np.maximum(without_UO, 0))
        reach_O = half_width(1.0, units) * uneven * _jackknife(without_UO)
        interval = np.clip(np.stack([part_O - reach_O, part_O + reach_O], axis=1), 0, 1)
    return OwnerSums(
        score=score_O,
        score_error=standard_errors(scores_OM, members),
        share=None if part_O is None else np.maximum(part_O, 0),
        share_error=error,
        share_interval=interval,
        units=units,
        positive=float(np.maximum(score_O, 0).sum()),
        clipped=float(np.maximum(-score_O, 0).sum()),
    )


def _parts(score_O: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """S_j / sum_l max(S_l, 0): the shares where they are positive."""
    total = np.maximum(score_O, 0).sum()
    return score_O / total if total > 0 else None


def _parts_without(units_OU: NDArray[np.float64]) -> NDArray[np.float64]:
    """Parts without each unit, [U, O]. Zeros without a unit that all positive sums depend on."""
    count = units_OU.shape[-1]
    without_OU = (units_OU.sum(axis=-1, keepdims=True) - units_OU) / (count - 1)
    parts = [_parts(without_OU[:, u]) for u in range(count)]
    return np.stack([np.zeros(len(units_OU)) if part is None else part for part in parts])


def _jackknife(without_UO: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard error from the estimates without each unit."""
    count = len(without_UO)
    squares_O = ((without_UO - without_UO.mean(axis=0)) ** 2).sum(axis=0)
    error_O: NDArray[np.float64] = np.sqrt((count - 1) / count * squares_O)
    return error_O
