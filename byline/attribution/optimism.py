"""The optimism of the best of many scores: they are too high, since they were picked for being the highest.

Letters: C candidates, M members, U units (`uncertainty.member_units`), k examples.

The rows with the largest means are large or were lucky. Leave out one unit after the other, pick the k best by the
mean of the others, and let the unit that took no part score them afresh. Over all units, let x be the mean score by
which rows were picked, and y the mean of their fresh scores: U - 1 units are too high by the part 1 - y / x. What luck
there is goes with the variance of a mean, so U units are too high by (U - 1) / U of it:

    optimism = (U - 1) / U (1 - y / x)

No distribution of scores is assumed. Shrinking all scores towards their mean, as if they were normal, takes too
much from the best, since real scores have heavier tails (docs/ensembles.md has both, measured).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from byline.api.terms import Direction
from byline.attribution.uncertainty import unit_count, unit_scores
from byline.members import Member

MOST_FURTHER = 256
"""Candidates beyond a long list: leaving out a unit changes little but its end."""


def candidate_count(k: int) -> int:
    """Count the rows that estimate the optimism of k: those that leaving out a unit may bring up."""
    return k + min(k, MOST_FURTHER) + 16


def optimism(
    end: Direction, by_member_CM: NDArray[np.float64], members: Sequence[Member], k: int
) -> float | None:
    """Estimate what part of the k best scores is luck.

    Args:
        end: Which end of the scores is listed.
        by_member_CM: Scores of the best candidates by member, the k listed ones among them.
        members: The ensemble, in the order of the last axis.
        k: Number of scores that are listed.

    Returns:
        Part of one. 0 where nothing had to be picked. None where the members' own scores are not known or have no
        standard error, without candidates, or where the best scores are not on their end's side of zero.
    """
    units = unit_count(members)
    if units is None or not len(by_member_CM) or by_member_CM.shape[1] != len(members):
        return None
    units_CU = unit_scores(by_member_CM, members)
    outwards_CU = units_CU if end == "proponents" else -units_CU
    others_CU = (outwards_CU.sum(axis=1, keepdims=True) - outwards_CU) / (units - 1)
    picked_kU = np.argsort(-others_CU, axis=0, kind="stable")[:k]
    by_others = float(np.take_along_axis(others_CU, picked_kU, axis=0).sum())
    afresh = float(np.take_along_axis(outwards_CU, picked_kU, axis=0).sum())
    if not by_others > 0:
        return None
    return min(1.0, max(0.0, (units - 1) / units * (1 - afresh / by_others)))
