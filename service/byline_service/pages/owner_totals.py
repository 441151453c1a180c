"""Sums of owners' accounts and statements for charts, in integer minor units."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from byline.api.statements import BalanceDocument, StatementDocument
from byline_service.pages.charts import WIDTH, BarSegment, nice_top, stacked_bar

PARTS = ("payable", "escrow", "held", "carried")
"""Accounts of an owner, in the order of drawing."""
NAMED = 5
"""Number of owners with a color of their own."""
OTHERS = "others"


@dataclass(frozen=True)
class OwnerTotal:
    """The accounts of one owner."""

    owner: str
    payable: int
    escrow: int
    held: int
    carried: int

    @property
    def total(self) -> int:
        """Return the sum of the owner's accounts."""
        return self.payable + self.escrow + self.held + self.carried


@dataclass(frozen=True)
class OwnerBar:
    """The bar of one owner."""

    total: OwnerTotal
    segments: Sequence[tuple[str, float, float]]
    """(account, x, width) of each part, on one scale for all owners."""


def owner_totals(balances: Sequence[BalanceDocument]) -> list[OwnerTotal]:
    """Combine accounts by owner, the largest payable amount first."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(PARTS, 0))
    for each in balances:
        if each.owner is not None and each.account in PARTS:
            found[each.owner][each.account] += each.amount
    whole = [OwnerTotal(owner=owner, **amounts) for owner, amounts in found.items()]
    return sorted(whole, key=lambda each: (-each.payable, -each.total, each.owner))


def totals(balances: Sequence[BalanceDocument]) -> dict[str, int]:
    """Sum each account over all owners."""
    found = dict.fromkeys((*PARTS, "unallocated", "funding"), 0)
    for each in balances:
        found[each.account] += each.amount
    return found


def balanced(balances: Sequence[BalanceDocument]) -> bool:
    """Return whether the accounts of every policy add up to zero. Amounts of two currencies are never added."""
    found: dict[str, int] = defaultdict(int)
    for each in balances:
        found[each.policy] += each.amount
    return not any(found.values())


def owner_bars(owners: Sequence[OwnerTotal]) -> list[OwnerBar]:
    """Place the bars of owners on one scale."""
    most = max((each.total for each in owners), default=0) or 1
    drawn = []
    for each in owners:
        x, segments = 0.0, list[tuple[str, float, float]]()
        for part in PARTS:
            width = round(WIDTH * max(0, getattr(each, part)) / most, 2)
            segments += [(part, x, width)] if width else []
            x = round(x + width, 2)
        drawn.append(OwnerBar(each, segments))
    return drawn


@dataclass(frozen=True)
class Period:
    """A posted run as a column of a chart."""

    run: str
    label: str
    """Last day of the period, or the day of the draft."""
    amounts: Mapping[str, int]
    """Payable amounts of the named owners, and of all others together."""
    total: int
    segments: Sequence[tuple[int, float, float]]
    """(color, y, height) of each part, from the bottom up, in a box of 100."""


def periods(statements: Sequence[StatementDocument]) -> tuple[list[str], list[Period]]:
    """Divide the amounts of runs by owner, for a chart over time.

    Args:
        statements: Posted runs in any order. Reversals count negatively.

    Returns:
        Owners with a color of their own, the largest first, then the others if there are any, and the periods in
        order.
    """
    sums: dict[str, int] = defaultdict(int)
    for statement in statements:
        for line in statement.lines:
            sums[line.owner] += line.payable
    ranked = sorted((owner for owner in sums if sums[owner] > 0), key=lambda owner: (-sums[owner], owner))
    names = ranked[:NAMED]
    shown = [*names, OTHERS] if len(ranked) > NAMED else names
    rows = [(each, _amounts(each, names, shown)) for each in sorted(statements, key=_day)]
    top = nice_top(float(max((sum(max(0, n) for n in row.values()) for _, row in rows), default=0)))
    return shown, [
        Period(each.id, _day(each), row, sum(row.values()), _column(row, top)) for each, row in rows
    ]


def _amounts(statement: StatementDocument, names: Sequence[str], shown: Sequence[str]) -> dict[str, int]:
    found = dict.fromkeys(shown, 0)
    for line in statement.lines:
        key = line.owner if line.owner in names else OTHERS
        if key in found:
            found[key] += line.payable
    return found


def _column(row: Mapping[str, int], top: float) -> list[tuple[int, float, float]]:
    y, segments = 100.0, list[tuple[int, float, float]]()
    for color, amount in enumerate(row.values(), start=1):
        height = round(100 * max(0, amount) / top, 2)
        y = round(y - height, 2)
        segments += [(color, y, height)] if height else []
    return segments


def _day(statement: StatementDocument) -> str:
    if statement.until is None:
        return statement.drafted_at[:10]
    last = datetime.fromisoformat(statement.until) - timedelta(microseconds=1)
    return last.date().isoformat()


def mix(totals: Mapping[str, int]) -> list[BarSegment]:
    """Divide the funded amount by account."""
    return stacked_bar([(name, max(0, totals[name])) for name in (*PARTS, "unallocated")])
