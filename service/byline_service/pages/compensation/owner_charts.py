"""Charts of owners' accounts and of posted runs, from integer minor units. Amounts that are taken back are negative."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from byline_service.pages.charts import WIDTH, nice_top

PARTS = ("payable", "escrow", "held", "carried")
"""Accounts of an owner, in the order of drawing."""
NAMED = 5
"""Number of owners with a color of their own."""
OTHERS = "others"
BACK = " back"
"""Second class of a part that is taken back."""


class Amounts(Protocol):
    """The amounts of one owner: balances of accounts, or a line of a run."""

    @property
    def owner(self) -> str:
        """Return the name of the owner."""

    @property
    def payable(self) -> int:
        """Return the amount due."""

    @property
    def escrow(self) -> int:
        """Return the amount in escrow."""

    @property
    def held(self) -> int:
        """Return the amount behind a hold, a dispute or a missing consent."""

    @property
    def carried(self) -> int:
        """Return the amount below the floor."""


@dataclass(frozen=True)
class OwnerBar:
    """The bar of one owner."""

    owner: str
    payable: int
    segments: Sequence[tuple[str, float, float]]
    """(account, x, width) of each part, on one scale for all owners."""
    zero: float
    """Place of zero. Parts that are taken back lie to its left."""


def owner_bars(owners: Sequence[Amounts]) -> list[OwnerBar]:
    """Place the bars of owners on one scale.

    Args:
        owners: Amounts of owners.

    Returns:
        A bar for each owner, in the same order.
    """
    right = max((sum(max(0, n) for n in _parts(each)) for each in owners), default=0)
    left = max((sum(max(0, -n) for n in _parts(each)) for each in owners), default=0)
    scale = WIDTH / ((left + right) or 1)
    return [_bar(each, left * scale, scale) for each in owners]


def _bar(owner: Amounts, zero: float, scale: float) -> OwnerBar:
    right, left = zero, zero
    segments: list[tuple[str, float, float]] = []
    for part, amount in zip(PARTS, _parts(owner), strict=True):
        width = round(scale * abs(amount), 2)
        if amount < 0:
            left -= width
            segments.append((part + BACK, round(left, 2), width))
        elif width:
            segments.append((part, round(right, 2), width))
            right += width
    return OwnerBar(owner.owner, owner.payable, segments, round(zero, 2))


def _parts(owner: Amounts) -> tuple[int, int, int, int]:
    return owner.payable, owner.escrow, owner.held, owner.carried


@dataclass(frozen=True)
class RunSum:
    """The payable amount of a posted run."""

    run: str
    """Id of the run."""
    title: str
    """Name of the run."""
    payable: int
    """Payable amount of all owners. Negative for a reversal."""


@dataclass(frozen=True)
class RunColumn:
    """A posted run as a column of a chart."""

    run: str
    label: str
    """Name of the run."""
    amounts: Mapping[str, int]
    """Payable amounts of the named owners, and of all others together."""
    total: int
    segments: Sequence[tuple[int, float, float]]
    """(color, y, height) of each part in a box of 100: upwards from zero, or downwards if it is taken back."""
    zero: float
    """Height of zero in the box."""


def run_columns(
    runs: Sequence[RunSum], largest: Mapping[str, Mapping[str, int]]
) -> tuple[list[str], list[RunColumn]]:
    """Divide the amounts of runs by owner, for a chart over time.

    Args:
        runs: Posted runs, in the order of the chart.
        largest: Payable amounts of the owners with a color of their own, by owner and run, the largest owner first.

    Returns:
        These owners, then the others if there are any, and the columns.
    """
    rest = {run.run: run.payable - sum(own.get(run.run, 0) for own in largest.values()) for run in runs}
    names = [*largest, *([OTHERS] if any(rest.values()) else [])]
    rows = [
        {name: rest[run.run] if name not in largest else largest[name].get(run.run, 0) for name in names}
        for run in runs
    ]
    top = _most(rows, 1)
    below = _most(rows, -1)
    return names, [
        RunColumn(run.run, run.title, row, run.payable, *_column(row, top, below))
        for run, row in zip(runs, rows, strict=True)
    ]


def _most(rows: Sequence[Mapping[str, int]], sign: int) -> float:
    most = max((sum(max(0, sign * n) for n in row.values()) for row in rows), default=0)
    return nice_top(float(most)) if most else 0.0


def _column(row: Mapping[str, int], top: float, below: float) -> tuple[list[tuple[int, float, float]], float]:
    span = (top + below) or 1.0
    zero = 100 * top / span if below else 100.0
    up, down = zero, zero
    segments: list[tuple[int, float, float]] = []
    for color, amount in enumerate(row.values(), start=1):
        height = round(100 * abs(amount) / span, 2)
        if amount > 0 and height:
            up -= height
            segments.append((color, round(up, 2), height))
        elif height:
            segments.append((color, round(down, 2), height))
            down += height
    return segments, round(zero, 2)
