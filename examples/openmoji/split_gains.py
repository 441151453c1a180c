"""Measured gains of OpenMoji's authors from splitting, beside their bound.

p and n are the positive and the negative part of an owner's works, S = p - n their sum, T what the other owners have.
Joined, the owner's share is S+/(S+ + T); split into works of one sign it is p/(p + T). The gain is at most
n/(p + T) (docs/compensation.md).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest


@dataclass(frozen=True)
class Gain:
    """One owner's gain in one event, as parts of the event."""

    owner: str
    share: float
    gain: float
    bound: float


def gains(attributor: Attributor, query: Mapping[str, Any]) -> list[Gain]:
    """Split every owner by the signs of the works, one owner at a time.

    Args:
        attributor: Answers the query over all rows.
        query: One query.

    Returns:
        One an owner who has works of both signs.
    """
    answer = attributor.attribute(AttributionRequest(query=query, k=attributor.index.rows))
    works: defaultdict[str, list[float]] = defaultdict(list)
    for each in answer.proponents or ():
        works[each.example.owner or ""].append(each.score)
    sums = {owner: max(sum(scores), 0.0) for owner, scores in works.items()}
    total = sum(sums.values())
    found = []
    for owner, scores in works.items():
        positive, negative = (sum(max(sign * score, 0.0) for score in scores) for sign in (1, -1))
        others = total - sums[owner]
        if min(positive, negative) > 0 and positive + others > 0:
            share = sums[owner] / total if total else 0.0
            split = positive / (positive + others)
            found.append(Gain(owner, share, split - share, negative / (positive + others)))
    return found


def summary(all_gains: Sequence[Gain]) -> str:
    """Say what was found, in a few lines."""
    if not all_gains:
        return "No author has works of both signs."
    largest = max(all_gains, key=lambda each: each.gain)
    mean = sum(each.gain for each in all_gains) / len(all_gains)
    share = sum(each.share for each in all_gains) / len(all_gains)
    held = all(-1e-9 <= each.gain <= each.bound + 1e-9 for each in all_gains)
    return (
        f"Splitting by sign, one author at a time, {len(all_gains)} cases: a share of {share:.2%} on average would "
        f"gain {mean:.2%}; the largest gain is {largest.gain:.1%} (bound {largest.bound:.1%}), of an author with "
        f"{largest.share:.1%}. Within the bound: {'all' if held else 'NOT ALL'}."
    )
