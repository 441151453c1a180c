"""Scores as integers with one power-of-two scale per event, so that a recomputation gets the same bits.

Letters: O owners, M members.

    n_om = round(score_om 2^e),  e the largest exponent with max |n_om| <= 2^52

Scores of works (`compensation.works`) have the same scale, so they count in the maximum.

Rounding moves no score by more than 2^-e / 2 <= A 2^-52, A being the largest |score_om| of the event: a float64's
own precision at A. Scores are products of single-precision gradients, whose last bits differ by about A 2^-24 from
run to run, and the standard error over members is larger still. Integers stay below 2^53, so that every JSON
reader keeps them.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import chain
from math import frexp

from byline.errors import NonFiniteGradient

BITS = 52
"""Most bits of an integer: none is larger than 2^BITS."""


def power(scale: int) -> Fraction:
    """Return 2^scale, exactly."""
    return Fraction(2) ** scale


def fixed_point(
    scores: Mapping[str, Sequence[float]], beside: Iterable[float] = ()
) -> tuple[int, dict[str, tuple[int, ...]]]:
    """Round scores to integers.

    Args:
        scores: Scores of each owner by member.
        beside: Scores of works, which have the same scale.

    Returns:
        (e, integers n of each owner by member): a score is n 2^-e.

    Raises:
        NonFiniteGradient: A score is NaN or infinite.
    """
    sizes = [abs(score) for score in chain(*scores.values(), beside)]
    if not all(size < float("inf") for size in sizes):
        raise NonFiniteGradient("expected finite scores, got NaN or infinity")
    largest = max(sizes, default=0.0)
    scale = BITS - frexp(largest)[1] if largest else 0
    factor = power(scale)
    return scale, {
        owner: tuple(round(Fraction(score) * factor) for score in by_member)
        for owner, by_member in scores.items()
    }
