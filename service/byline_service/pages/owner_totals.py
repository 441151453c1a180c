"""Where owners stand: accounts and statements added up for charts. Integers in minor units; no database."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from byline.api.statements import BalanceDocument, StatementDocument
from byline_service.pages.charts import WIDTH, BarSegment, nice_top, stacked

PARTS = ("payable", "escrow", "carried")
"""Accounts that are an owner's, in the order of drawing."""
NAMED = 5
"""Owners with a colour of their own."""
OTHERS = "others"


@dataclass(frozen=True)
class Standing:
    """One owner's accounts."""

    owner: str
    payable: int
    escrow: int
    carried: int

    @property
    def total(self) -> int:
        """All that is the owner's, held or not."""
        return self.payable + self.escrow + self.carried


@dataclass(frozen=True)
class Drawn:
    """An owner's bar."""

    standing: Standing
    segments: Sequence[tuple[str, float, float]]
    """(account, x, width) of each part, on one scale for all owners."""


def standings(balances: Sequence[BalanceDocument]) -> list[Standing]:
    """Put owners' accounts together, those with most first."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(PARTS, 0))
    for each in balances:
        if each.owner is not None and each.account in PARTS:
            found[each.owner][each.account] += each.amount
    whole = [Standing(owner=owner, **amounts) for owner, amounts in found.items()]
    return sorted(whole, key=lambda each: (-each.payable, -each.total, each.owner))


def totals(balances: Sequence[BalanceDocument]) -> dict[str, int]:
    """Add up each account over all owners."""
    found = dict.fromkeys((*PARTS, "unallocated", "funding"), 0)
    for each in balances:
        found[each.account] += each.amount
    return found


def balanced(balances: Sequence[BalanceDocument]) -> bool:
    """Whether the accounts of every policy add up to zero: amounts of two currencies are no sum."""
    found: dict[str, int] = defaultdict(int)
    for each in balances:
        found[each.policy] += each.amount
    return not any(found.values())


def draw(owners: Sequence[Standing]) -> list[Drawn]:
    """Place owners' bars on one scale."""
    most = max((each.total for each in owners), default=0) or 1
    drawn = []
    for each in owners:
        x, segments = 0.0, list[tuple[str, float, float]]()
        for part in PARTS:
            width = round(WIDTH * max(0, getattr(each, part)) / most, 2)
            segments += [(part, x, width)] if width else []
            x = round(x + width, 2)
        drawn.append(Drawn(each, segments))
    return drawn


@dataclass(frozen=True)
class Period:
    """One posted run as a column."""

    run: str
    label: str
    """The period's last day, or the day of its draft."""
    amounts: Mapping[str, int]
    """Payable of the named owners and of the others together."""
    total: int
    segments: Sequence[tuple[int, float, float]]
    """(colour, y, height) of each part, from the ground up, in a box of 100."""


def periods(statements: Sequence[StatementDocument]) -> tuple[list[str], list[Period]]:
    """Divide what runs pay by owner, for a chart over time.

    Args:
        statements: Posted runs in any order; reversals count against what they take back.

    Returns:
        Owners with a colour of their own, those who got most first, with the others where there are any; and the periods
        in their order.
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
    for colour, amount in enumerate(row.values(), start=1):
        height = round(100 * max(0, amount) / top, 2)
        y = round(y - height, 2)
        segments += [(colour, y, height)] if height else []
    return segments


def _day(statement: StatementDocument) -> str:
    if statement.until is None:
        return statement.drafted_at[:10]
    last = datetime.fromisoformat(statement.until) - timedelta(microseconds=1)
    return last.date().isoformat()


def mix(totals: Mapping[str, int]) -> list[BarSegment]:
    """Divide all that was funded by account."""
    return stacked([(name, max(0, totals[name])) for name in (*PARTS, "unallocated")])
