"""Owners' shares of one event and their standard errors, in integers.

Letters: O owners, M members, U units, n_jm the stored integers, w_u the part of the members that unit u has.

    S_j      = sum_m n_jm,   share_j = max(S_j, 0) / sum_l max(S_l, 0)
    SE_j     = sqrt(U sum_u w_u^2  (U-1)/U sum_u (share_j(-u) - mean_u share_j(-u))^2)     delete-one jackknife over
               units. U sum_u w_u^2 is 1 where all units have as many members
    lower_j  = max(share_j - z SE_j, 0)

the formulas of `byline.attribution.owner_shares`. Shares are rational. The root is not: SE is rounded up to a
multiple of 2^-64, so that no lower bound is ever too high.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt, lcm, prod

from byline_service.compensation.event import Event

ROOT_BITS = 64
"""Standard errors are multiples of 2^-ROOT_BITS."""


@dataclass(frozen=True)
class ExactShare:
    """One owner's share of one event."""

    positive: int
    """max(S_j, 0)."""
    total: int
    """Sum of all owners' positive sums. The same for every owner."""
    root: int
    """Standard error of the share in units of 2^-ROOT_BITS, rounded up."""

    @property
    def share(self) -> Fraction:
        """Return the share as a fraction."""
        return Fraction(self.positive, self.total)

    @property
    def standard_error(self) -> Fraction:
        """Return the standard error of the share, rounded up."""
        return Fraction(self.root, 1 << ROOT_BITS)

    def lower(self, multiplier: Fraction) -> Fraction:
        """Return max(share - multiplier x SE, 0)."""
        return max(self.share - multiplier * self.standard_error, Fraction(0))

    def bounded(self, multiplier: Fraction) -> tuple[int, int]:
        """Return the share and its lower bound, both times a factor that is the same for all owners of an event.

        They are integers: with fractions, thousands of events with hundreds of owners would take a minute.
        """
        share = self.positive * multiplier.denominator << ROOT_BITS
        return share, max(share - multiplier.numerator * self.root * self.total, 0)


def exact_shares(event: Event) -> dict[str, ExactShare]:
    """Compute every owner's share of an event.

    Args:
        event: An event with a spread between its members.

    Returns:
        Owners with a positive share or a standard error above zero, by name. Empty if no owner's sum is positive.
    """
    sums = {owner: sum(by_member) for owner, by_member in event.scores.items()}
    total = sum(value for value in sums.values() if value > 0)
    if not total:
        return {}
    errors = _jackknife(_unit_scores(event), _imbalance(event))
    return {
        owner: ExactShare(max(sums[owner], 0), total, errors[owner])
        for owner in sorted(sums)
        if sums[owner] > 0 or errors[owner]
    }


def _unit_scores(event: Event) -> dict[str, tuple[int, ...]]:
    """Return each owner's mean over each unit's members, times a common factor that cancels in the shares."""
    units = sorted({member.unit for member in event.members})
    columns = [[m for m, member in enumerate(event.members) if member.unit == unit] for unit in units]
    common = lcm(*(len(column) for column in columns))
    return {
        owner: tuple(sum(by_member[m] for m in column) * (common // len(column)) for column in columns)
        for owner, by_member in event.scores.items()
    }


def _imbalance(event: Event) -> Fraction:
    """Return U sum_u w_u^2, as `byline.attribution.uncertainty.imbalance` does."""
    sizes = Counter(member.unit for member in event.members).values()
    return Fraction(len(sizes) * sum(size**2 for size in sizes), len(event.members) ** 2)


def _jackknife(units: Mapping[str, Sequence[int]], imbalance: Fraction) -> dict[str, int]:
    """Return standard errors by owner. A unit whose removal leaves no positive sum gives every owner a share of 0."""
    count = len(next(iter(units.values())))
    if count < 2:
        return dict.fromkeys(units, 0)
    positive = {owner: [max(sum(row) - own, 0) for own in row] for owner, row in units.items()}
    totals = [sum(row[u] for row in positive.values()) or 1 for u in range(count)]
    denominator = prod(totals)
    factors = [denominator // total for total in totals]
    return {
        owner: _spread(
            [value * factor for value, factor in zip(row, factors, strict=True)], denominator, imbalance
        )
        for owner, row in positive.items()
    }


def _spread(numerators: Sequence[int], denominator: int, imbalance: Fraction) -> int:
    """Return sqrt(imbalance (U-1)/U sum_u (x_u - mean)^2), x_u = numerator / denominator, in 2^-ROOT_BITS, rounded up."""
    count, total = len(numerators), sum(numerators)
    squares = (count - 1) * sum((count * each - total) ** 2 for each in numerators)
    return root_up(squares * imbalance.numerator, count * (count * denominator) ** 2 * imbalance.denominator)


def root_up(numerator: int, denominator: int) -> int:
    """Return the least multiple of 2^-ROOT_BITS that is not below sqrt(numerator / denominator), as an integer."""
    scaled = -(-(numerator << 2 * ROOT_BITS) // denominator)
    root = isqrt(scaled)
    return root + (root * root < scaled)
