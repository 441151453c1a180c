"""The rights table of an index: the parties that share in an owner's amounts.

    amount of a row = amount · share / (1,000,000 · number of the owner's rights on that day)

Every right that has rows on the day gets the same part of the amount. The rows of one right, at one time, claim at most
1,000,000 millionths. The rest of a right is unclaimed. All parts are integers by largest remainder, so they add up to the
amount.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import Field

from byline.api.receipts import Integer
from byline.api.rights import RightKind
from byline.errors import InvalidInput
from byline_service.compensation.allocation import apportion
from byline_service.compensation.event import Stored

WHOLE = 1_000_000
"""Millionths of one right."""
MOST_ROWS = 20_000
"""Most rows of a table."""
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class RightsRow(Stored):
    """A party's share in an owner's amounts."""

    owner: str
    """Label of the owner."""
    right: RightKind
    """Kind of the right."""
    party: str
    """Name of the party."""
    share: Annotated[int, Field(strict=True, ge=1, le=WHOLE)]
    """Millionths of the right."""
    since: Day | None = None
    """First day in UTC. Null for always."""
    until: Day | None = None
    """Last day in UTC. Null for always."""

    def valid(self, day: str) -> bool:
        """Return whether the row counts on a day."""
        return (self.since or day) <= day <= (self.until or day)


class RightsTable(Stored):
    """A revision of the rights table of an index."""

    index: str
    """Name of the index."""
    revision: Integer
    """Number of the revision, from 1."""
    rows: tuple[RightsRow, ...]
    """Rows, sorted. Each revision has all of them."""


class RightsRevised(Stored):
    """A revision of a rights table."""

    kind: Literal["rights"] = "rights"
    """Kind of the record."""
    table: RightsTable
    """The revision."""


@dataclass(frozen=True)
class OverClaim:
    """A right whose rows claim more than all of it."""

    rows: tuple[int, ...]
    """Positions of the rows that claim it together."""
    day: str | None
    """First day of it. None if the rows have no first day."""
    claimed: int
    """Millionths that they claim."""


class Split(Stored):
    """A part of an owner's amount."""

    owner: str
    """Label of the owner whose amount is divided."""
    right: RightKind | None
    """Kind of the right. Null where no table divides the amount."""
    party: str | None
    """Name of the party that is paid. Null for the unclaimed rest."""
    amount: Annotated[int, Field(strict=True, ge=1)]
    """Amount in minor units."""
    table: Integer | None = None
    """Sequence of the journal record of the table. Null where no table divides the amount."""


def over_claims(rows: Sequence[RightsRow]) -> list[OverClaim]:
    """Find the rights that rows claim more than all of, once for each owner and right.

    Args:
        rows: Rows of a table, in any order.

    Returns:
        The first over-claim of each, in the order of owners and rights.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        groups[row.owner, row.right].append(place)
    found = (_over_claim(rows, places) for _, places in sorted(groups.items()))
    return [each for each in found if each is not None]


def require_claimable(rows: Sequence[RightsRow]) -> None:
    """Check the rows of a table.

    Raises:
        InvalidInput: There are too many rows, a row ends before it begins, is there twice, or a right is over-claimed.
    """
    if len(rows) > MOST_ROWS:
        raise InvalidInput(f"expected at most {MOST_ROWS} rows in a rights table, got {len(rows)}")
    if len(set(rows)) != len(rows):
        raise InvalidInput("expected rows that differ, got one twice")
    if any(row.since and row.until and row.until < row.since for row in rows):
        raise InvalidInput("expected rows that end after they begin, got one that ends before")
    if over_claims(rows):
        raise InvalidInput(f"expected at most {WHOLE} millionths of a right at any time, got more")


def divide(rows: Iterable[RightsRow], owner: str, amount: int, day: str) -> tuple[Split, ...]:
    """Divide an owner's amount among the parties with a right on a day.

    Args:
        rows: Rows of a table. Those of other owners and other days do not count.
        owner: Label of the owner.
        amount: Amount in minor units.
        day: The day, as `2026-03-31`.

    Returns:
        The parts, which add up to the amount. The owner is the party where no row counts.
    """
    if amount <= 0:
        return ()
    weights: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        if row.owner == owner and row.valid(day):
            weights[row.right, row.party] += row.share
    if not weights:
        return (Split(owner=owner, right=None, party=owner, amount=amount),)
    for right in {right for right, _ in weights}:
        rest = WHOLE - sum(share for (of, _), share in weights.items() if of == right)
        if rest:
            weights[right, ""] = rest  # the unclaimed rest: no party has an empty name
    parts = apportion(weights, amount)
    return tuple(
        Split.model_validate({"owner": owner, "right": right, "party": party or None, "amount": part})
        for (right, party), part in sorted(parts.items())
        if part
    )


@dataclass
class RightsBook:
    """The rights tables of a ledger."""

    revisions: dict[str, list[tuple[int, RightsTable]]] = field(default_factory=dict)
    """Index -> sequence of the record and the table, the oldest revision first."""

    def add(self, sequence: int, table: RightsTable) -> None:
        """Add a revision.

        Args:
            sequence: Sequence of its record.
            table: The revision.

        Raises:
            InvalidInput: The revisions have a gap, or the rows are not those that the service writes.
        """
        own = self.revisions.setdefault(table.index, [])
        if table.revision != len(own) + 1:
            raise InvalidInput("the table's revisions are not 1, 2, 3 …")
        if list(table.rows) != sorted(table.rows, key=row_order):
            raise InvalidInput("the table's rows are not sorted")
        require_claimable(table.rows)
        own.append((sequence, table))

    def at(self, index: str, basis: int) -> RightsTable | None:
        """Return the revision that counts after a record. None if there is none.

        Args:
            index: Name of the index.
            basis: Sequence of the record.
        """
        counted = [table for sequence, table in self.revisions.get(index, []) if sequence <= basis]
        return counted[-1] if counted else None

    def newest(self, basis: int) -> list[tuple[int, RightsTable]]:
        """Return the table of each index that counts after a record, with its sequence, in the order of sequences.

        Args:
            basis: Sequence of the record.
        """
        counted = ([pair for pair in own if pair[0] <= basis] for own in self.revisions.values())
        return sorted((own[-1] for own in counted if own), key=lambda pair: pair[0])


def row_order(row: RightsRow) -> tuple[str, ...]:
    """Return the place of a row in a table."""
    return row.owner, row.right, row.since or "", row.until or "", row.party, f"{row.share:07}"


def _over_claim(rows: Sequence[RightsRow], places: Sequence[int]) -> OverClaim | None:
    """Look at each day on which a row begins: claims grow on these days alone."""
    begins = sorted({rows[place].since or "" for place in places})
    for day in begins:
        together = [place for place in places if _covers(rows[place], day)]
        claimed = sum(rows[place].share for place in together)
        if claimed > WHOLE:
            return OverClaim(tuple(together), day or None, claimed)
    return None


def _covers(row: RightsRow, day: str) -> bool:
    """Return whether a row counts on a day. The empty day is before all others."""
    return (row.since or "") <= day and (row.until is None or day <= row.until)


def last_day(until: str) -> str:
    """Return the last day of a period.

    Args:
        until: First time after the period, as `timestamp_text` writes it.
    """
    return (date.fromisoformat(until[:10]) - timedelta(days=1)).isoformat()
