"""What part of an answer each owner is due (the compensation formula).

Letters: O owners, M members, U independent units (`uncertainty.unit_scores`).

    S_j     = signed sum of the scores of all of owner j's rows
    share_j = max(S_j, 0) / sum_l max(S_l, 0)

The positive part is taken after the owner's sum, so splitting an owner whose works have one sign
changes nothing. What is clipped is reported: it is the influence that nobody is charged for.
Standard errors of the shares are the delete-one jackknife over the units,
sqrt((U-1)/U sum_u (share_(-u) - mean)^2): unlike the delta method it sees an owner who is clipped
in some units and not in others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byline.attribution.uncertainty import standard_errors, unit_scores
from byline.members import Member


@dataclass(frozen=True, kw_only=True)
class OwnerSums:
    """Scores and shares of all owners, in the order in which the owners were given."""

    score: NDArray[np.float64]
    """S_j: the signed sum over all of the owner's rows, a mean over the members."""
    score_error: NDArray[np.float64] | None
    """Standard error of `score`; None with a single member."""
    share: NDArray[np.float64] | None
    """Parts of one; None where no owner's sum is positive, for there is nothing to share then."""
    share_error: NDArray[np.float64] | None
    """Standard error of `share`; None with a single member or without shares."""
    positive: float
    """sum_j max(S_j, 0): what is shared."""
    clipped: float
    """sum_j max(-S_j, 0): what the positive part leaves out."""


def owner_sums(scores_OM: NDArray[np.float64], members: Sequence[Member]) -> OwnerSums:
    """Compute every owner's share of one answer, with its standard error.

    Args:
        scores_OM: Signed sums over each owner's rows by member; their mean is the score.
        members: The ensemble, in the order of the last axis.

    Returns:
        Scores, shares, their standard errors and the clipped mass.
    """
    score_O = scores_OM.mean(axis=-1)
    share_O = _shares(score_O)
    return OwnerSums(
        score=score_O,
        score_error=standard_errors(scores_OM, members),
        share=share_O,
        share_error=None if share_O is None else _jackknife(unit_scores(scores_OM, members)),
        positive=float(np.maximum(score_O, 0).sum()),
        clipped=float(np.maximum(-score_O, 0).sum()),
    )


def _shares(score_O: NDArray[np.float64]) -> NDArray[np.float64] | None:
    positive_O = np.maximum(score_O, 0)
    total = positive_O.sum()
    return positive_O / total if total > 0 else None


def _jackknife(units_OU: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Delete-one jackknife; without a unit that all positive sums hang on, nobody has a share."""
    unit_count = units_OU.shape[-1]
    if unit_count < 2:
        return None
    without_OU = (units_OU.sum(axis=-1, keepdims=True) - units_OU) / (unit_count - 1)
    shares = [_shares(without_OU[:, u]) for u in range(unit_count)]
    shares_UO = np.stack([np.zeros(len(units_OU)) if share is None else share for share in shares])
    squares_O = ((shares_UO - shares_UO.mean(axis=0)) ** 2).sum(axis=0)
    error_O: NDArray[np.float64] = np.sqrt((unit_count - 1) / unit_count * squares_O)
    return error_O
