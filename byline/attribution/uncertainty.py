"""How far a score can be trusted: the spread between the members of the ensemble.

Letters: M members, U independent units of the ensemble (checkpoints where there are several, else
masks).
A score is the mean over the units, so its standard error is std(units, ddof=1) / sqrt(U).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from byline.members import Member
from byline.vocabulary import ErrorScope


def error_scope(members: Sequence[Member]) -> ErrorScope | None:
    """Tell what a standard error over these members covers.

    Returns:
        `between_checkpoints` with several checkpoints, `within_checkpoint` with several masks of
        one, None with a single member, or where checkpoints of one run are weighted by their learning
        rate: nothing is known about the error then.
    """
    if any(member.weight is not None for member in members):
        return None
    if len({member.checkpoint for member in members}) > 1:
        return "between_checkpoints"
    return "within_checkpoint" if len(members) > 1 else None


def unit_scores(scores_xM: NDArray[np.float64], members: Sequence[Member]) -> NDArray[np.float64]:
    """Reduce members to the units whose spread is the error.

    Masks of one checkpoint are correlated, so with several checkpoints the unit is the
    checkpoint's mean.

    Args:
        scores_xM: Scores by member along the last axis, in the order of `members`.
        members: The ensemble.

    Returns:
        float64 [..., U]: one number a checkpoint, or the members' own where there is one.
    """
    if error_scope(members) != "between_checkpoints":
        return scores_xM
    checkpoints_M = np.array([member.checkpoint for member in members])
    means = [scores_xM[..., checkpoints_M == c].mean(axis=-1) for c in np.unique(checkpoints_M)]
    return np.stack(means, axis=-1)


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
    deviation: NDArray[np.float64] = units_xU.std(axis=-1, ddof=1) / np.sqrt(units_xU.shape[-1])
    return deviation
