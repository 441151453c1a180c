"""How far a score can be trusted: the spread between the independent units of the ensemble.

Letters: M members, U units.

Members that share a trained part are correlated, so the unit is the outermost part that differs: the checkpoint
where there are several, else the adapter where there are several, else the mask. What is nested inside a unit is
averaged first. With w_u the part of the members that are the unit's, the score is sum_u w_u mean_u, and

    SE = sqrt(sum_u w_u^2) std(means, ddof=1)

which is std / sqrt(U) where all units have as many members. With unequal numbers it is unbiased where units differ,
and too large rather than too small where the members inside them do. Intervals take Student's t with U - 1 degrees
of freedom (`byline.metrics.intervals`).
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from byline.api.terms import ErrorScope
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
    """Count the independent units behind a standard error over these members; None where there is no error."""
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
