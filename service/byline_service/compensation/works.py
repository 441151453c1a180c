"""The works behind an owner's sum: each owner's training points with the largest scores in absolute value.

A work's integer is its score summed over the members, on the scale of the event. The other works of the owner have the
rest of the owner's sum, so works and rest add up to it exactly.
"""

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from math import ldexp

from byline.api.receipts import ReceiptContent
from byline_service.compensation.fixed_point import BITS

TOP_WORKS = 5
"""Works of an owner that an event keeps."""
Works = Mapping[str, Sequence[tuple[str, float]]]
"""Owner -> (id of a training point, score summed over the members), the largest absolute score first."""


def whole_works(works: Works, scale: int) -> dict[str, tuple[tuple[str, int], ...]]:
    """Round the scores of works to integers. Works of the integer 0 are left to the rest.

    Args:
        works: Works of each owner.
        scale: Binary exponent of the event's scores.
    """
    # Multiplication by a power of two is exact, so the one rounding is that of `round`.
    whole = {
        owner: tuple((work, n) for work, score in each if (n := round(ldexp(score, scale))))
        for owner, each in works.items()
    }
    return {owner: each for owner, each in sorted(whole.items()) if each}


def rest_of(content: ReceiptContent, owner: str) -> int:
    """Return the sum over an owner's works that an event does not name.

    Args:
        content: The receipt's content, or the event.
        owner: An owner with scores.
    """
    return sum(content.scores[owner]) - sum(n for _, n in content.works.get(owner, ()))


def largest_part(content: ReceiptContent, owner: str, works: Collection[str]) -> Fraction:
    """Return the largest part of an owner's share that some works can have.

    A named work has its score. A work that is not named has at most the smallest named one, and 0 if there was room for it.

    Args:
        content: The receipt's content, or the event.
        owner: The owner.
        works: Ids of the works.

    Returns:
        A part of at most 1. It is 1 if the event names none of the owner's works.
    """
    named = dict(content.works.get(owner, ()))
    whole = sum(content.scores.get(owner, ()))
    if not named or whole <= 0:
        return Fraction(1)
    unnamed = 0 if len(named) < TOP_WORKS else min(map(abs, named.values()))
    most = sum(max(named[work], 0) if work in named else unnamed for work in works)
    return min(Fraction(1), Fraction(most, whole))


def works_errors(content: ReceiptContent) -> list[str]:
    """Check the works of an event.

    Args:
        content: The receipt's content, or the event.

    Returns:
        Errors that were found, without names of owners.
    """
    found = set()
    for owner, works in content.works.items():
        sizes = [abs(n) for _, n in works]
        if owner not in content.scores:
            found.add("a work is of an owner without a score")
        if not 0 < len(works) <= TOP_WORKS or len({work for work, _ in works}) < len(works):
            found.add(f"an owner has not 1 to {TOP_WORKS} different works")
        if not all(0 < size <= 1 << BITS for size in sizes):
            found.add(f"a work's score is 0 or larger than 2^{BITS}")
        if any(one < other for one, other in pairwise(sizes)):
            found.add("the works are not in the order of their scores")
    return sorted(found)
