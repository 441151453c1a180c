"""SQL of rosters."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select

from byline_service.accounts import audit
from byline_service.accounts.scopes import Caller
from byline_service.compensation.rosters import (
    Roster,
    RosterBook,
    RosterRecord,
    RosterRecorded,
    of_period,
    require_new,
)
from byline_service.compensation.timestamps import parse_timestamp
from byline_service.database import Connection
from byline_service.database.tables.compensation import rosters
from byline_service.ledger import journal_queries

Row = Mapping[str, Any]


async def record(transaction: Connection, caller: Caller, roster: Roster) -> RosterRecord:
    """Record the owners of a version.

    Args:
        transaction: The open transaction.
        caller: The person who records them.
        roster: The owners.

    Raises:
        Conflict: The newest roster of the index is the same.
    """
    place = await journal_queries.next_position(transaction)
    known = await page(transaction, roster.index, None, 1)
    require_new(roster, known[0].roster if known else None)
    await journal_queries.write(transaction, place, caller.person, RosterRecorded(roster=roster))
    made = RosterRecord(sequence=place.sequence, at=place.at, person=caller.person, roster=roster)
    await transaction.execute(insert(rosters).values(_row(made)))
    details = {"index": roster.index, "version": roster.version}
    await audit.record(transaction, caller, "rosters.record", roster.version, details)
    return made


async def page(transaction: Connection, index: str, before: int | None, limit: int) -> list[RosterRecord]:
    """Return the rosters of an index, the newest first.

    Args:
        transaction: An open transaction.
        index: Name of the index.
        before: Only rosters older than this sequence.
        limit: Most rosters to return.
    """
    chosen = select(rosters.c.sequence).where(rosters.c.index_name == index)
    if before is not None:
        chosen = chosen.where(rosters.c.sequence < before)
    found = await transaction.execute(chosen.order_by(rosters.c.sequence.desc()).limit(limit))
    return list(reversed(await _at(transaction, sorted(found.scalars()))))


async def of_versions(
    transaction: Connection, versions: Sequence[tuple[str, str]], basis: int
) -> list[Roster]:
    """Return the rosters of some versions, in their order.

    Args:
        transaction: An open transaction.
        versions: Pairs of an index and a version.
        basis: Sequence of the last record that counts.
    """
    book = RosterBook()
    for index in sorted({index for index, _ in versions}):
        book.records += await _of_index(transaction, index, basis)
    return list(book.of_versions(versions, basis).values())


async def for_period(transaction: Connection, index: str, until: str, basis: int) -> list[Roster]:
    """Return the roster that a training pool of a period is divided by. Empty if none is recorded."""
    found = of_period(await _of_index(transaction, index, basis), until)
    return [] if found is None else [found]


def expected(book: RosterBook) -> Iterable[Row]:
    """Derive the rows of all rosters."""
    return (_row(each) for each in book.records)


async def _of_index(transaction: Connection, index: str, basis: int) -> list[RosterRecord]:
    chosen = select(rosters.c.sequence).where(rosters.c.index_name == index, rosters.c.sequence <= basis)
    found = (await transaction.execute(chosen.order_by(rosters.c.sequence))).scalars()
    return await _at(transaction, list(found))


async def _at(transaction: Connection, sequences: Sequence[int]) -> list[RosterRecord]:
    return [
        RosterRecord(sequence=each.sequence, at=each.at, person=each.person, roster=each.fact.roster)
        for each in await journal_queries.records(transaction, sequences)
        if isinstance(each.fact, RosterRecorded)
    ]


def _row(record: RosterRecord) -> Row:
    return {
        "sequence": record.sequence,
        "index_name": record.roster.index,
        "version": record.roster.version,
        "owners": len(record.roster.sizes),
        "person": record.person,
        "at": parse_timestamp(record.at),
    }
