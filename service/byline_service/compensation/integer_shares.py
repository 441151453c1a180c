"""Each owner's share of one event and its standard error, in integers alone.

Letters: O owners, M members, U units, n_jm the stored integers, w_u the part of the members that unit u has.

    S_j      = sum_m n_jm,   share_j = max(S_j, 0) / sum_l max(S_l, 0)
    SE_j     = sqrt(U sum_u w_u^2  (U-1)/U sum_u (share_j(-u) - mean_u share_j(-u))^2)     delete-one jackknife over
               units; U sum_u w_u^2 is 1 where all units have as many members
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
    """One owner's part of one event."""

    positive: int
    """max(S_j, 0)."""
    total: int
    """The sum of all owners' positive sums; the same for each."""
    root: int
    """The share's standard error in units of 2^-ROOT_BITS, rounded up."""

    @property
    def share(self) -> Fraction:
        """Part of one."""
        return Fraction(self.positive, self.total)

    @property
    def standard_error(self) -> Fraction:
        """Of the share, rounded up."""
        return Fraction(self.root, 1 << ROOT_BITS)

    def lower(self, multiplier: Fraction) -> Fraction:
        """max(share - multiplier x SE, 0)."""
        return max(self.share - multiplier * self.standard_error, Fraction(0))

    def bounded(self, multiplier: Fraction) -> tuple[int, int]:
        """Share and lower bound, both times one factor that is the same for all owners of an event.

        Whole numbers, since thousands of events with hundreds of owners take a minute in fractions.
        """
        share = self.positive * multiplier.denominator << ROOT_BITS
        return share, max(share - multiplier.numerator * self.root * self.total, 0)


def exact_shares(event: Event) -> dict[str, ExactShare]:
    """Compute every owner's share of an event.

    Args:
        event: With a spread between its members.

    Returns:
        Owners with a positive share or a standard error above zero, by name; empty where no owner's sum is positive.
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
    """Each owner's mean over each unit's members, all times one common factor: shares do not see it."""
    units = sorted({member.unit for member in event.members})
    columns = [[m for m, member in enumerate(event.members) if member.unit == unit] for unit in units]
    common = lcm(*(len(column) for column in columns))
    return {
        owner: tuple(sum(by_member[m] for m in column) * (common // len(column)) for column in columns)
        for owner, by_member in event.scores.items()
    }


def _imbalance(event: Event) -> Fraction:
    """U sum_u w_u^2, as `byline.attribution.uncertainty.imbalance`."""
    sizes = Counter(member.unit for member in event.members).values()
    return Fraction(len(sizes) * sum(size**2 for size in sizes), len(event.members) ** 2)


def _jackknife(units: Mapping[str, Sequence[int]], imbalance: Fraction) -> dict[str, int]:
    """Standard errors by owner; a unit without which nobody is positive gives everybody a share of 0."""
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
    """sqrt(imbalance (U-1)/U sum_u (x_u - mean)^2) of x_u = numerator / denominator, in 2^-ROOT_BITS, rounded up."""
    count, total = len(numerators), sum(numerators)
    squares = (count - 1) * sum((count * each - total) ** 2 for each in numerators)
    return root_up(squares * imbalance.numerator, count * (count * denominator) ** 2 * imbalance.denominator)


def root_up(numerator: int, denominator: int) -> int:
    """The least number of 2^-ROOT_BITS that is not below sqrt(numerator / denominator)."""
    scaled = -(-(numerator << 2 * ROOT_BITS) // denominator)
    root = isqrt(scaled)
    return root + (root * root < scaled)
