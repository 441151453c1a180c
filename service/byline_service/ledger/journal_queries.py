"""SQL of the journal. One transaction at a time adds records. A second one waits."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, insert, select, text

from byline_service.compensation.journal import GENESIS, Fact, Record, record_hash
from byline_service.compensation.timestamps import parse_timestamp, timestamp_text
from byline_service.database import Connection
from byline_service.database.tables.compensation import journal

_LOCK = text("SELECT pg_advisory_xact_lock(7164220591)")
PAGE = 500
"""Number of records that are read at a time."""


@dataclass(frozen=True)
class ChainHead:
    """The position of the next record. The transaction holds it until its end."""

    sequence: int
    at: str
    """Current time, but never before the last record: clocks of replicas differ."""
    previous: str


@dataclass(frozen=True)
class Row:
    """A stored record."""

    sequence: int
    at: datetime
    document: str
    hash: str


async def next_position(transaction: Connection) -> ChainHead:
    """Reserve the position of the next record.

    On SQLite a writing transaction is alone. On PostgreSQL a lock is held until its end.

    Args:
        transaction: A writing transaction.
    """
    if transaction.dialect.name != "sqlite":
        await transaction.execute(_LOCK)
    chosen = select(journal.c.sequence, journal.c.at, journal.c.hash)
    last = (await transaction.execute(chosen.order_by(journal.c.sequence.desc()).limit(1))).first()
    if last is None:
        return ChainHead(1, _after(None), GENESIS)
    return ChainHead(last.sequence + 1, _after(last.at), last.hash)


def _after(last: datetime | None) -> str:
    now = datetime.now(UTC)
    return timestamp_text(now if last is None else max(now, last + timedelta(microseconds=1)))


async def next_moment(transaction: Connection) -> str:
    """Return the current time, but never before the last record: the clock may have been set back."""
    chosen = select(journal.c.at).order_by(journal.c.sequence.desc()).limit(1)
    return _after((await transaction.execute(chosen)).scalar())


async def write(transaction: Connection, place: ChainHead, person: str, fact: Fact) -> Record:
    """Write a record.

    Args:
        transaction: The transaction that reserved the position.
        place: The position.
        person: The person who acts.
        fact: The content of the record.

    Returns:
        The record.
    """
    record = Record(sequence=place.sequence, at=place.at, person=person, fact=fact, previous=place.previous)
    written = record.canonical()
    values = {
        "sequence": place.sequence,
        "at": parse_timestamp(place.at),
        "document": written.decode("ascii"),
        "hash": record_hash(written),
    }
    await transaction.execute(insert(journal).values(values))
    return record


async def last_sequence(transaction: Connection) -> int:
    """Return the sequence of the last record. 0 if there is none."""
    found: int | None = (await transaction.execute(select(func.max(journal.c.sequence)))).scalar()
    return found or 0


async def records(transaction: Connection, sequences: Sequence[int]) -> list[Record]:
    """Return records in the order of their sequences."""
    found: list[Record] = []
    for start in range(0, len(sequences), PAGE):
        part = sequences[start : start + PAGE]
        chosen = select(journal.c.document).where(journal.c.sequence.in_(part)).order_by(journal.c.sequence)
        documents = (await transaction.execute(chosen)).scalars().all()
        # In a thread: to parse 500 events with many owners would block the event loop for a second.
        found += await asyncio.to_thread(_parsed, documents)
    return found


def _parsed(documents: Sequence[str]) -> list[Record]:
    return [Record.model_validate_json(document) for document in documents]


async def rows(transaction: Connection) -> AsyncIterator[Row]:
    """Read all rows in order, a page at a time.

    Yields:
        Each stored row.
    """
    last: int | None = None
    while True:
        chosen = select(journal).order_by(journal.c.sequence).limit(PAGE)
        if last is not None:
            chosen = chosen.where(journal.c.sequence > last)
        page = (await transaction.execute(chosen)).all()
        for row in page:
            yield Row(row.sequence, row.at, row.document, row.hash)
        if len(page) < PAGE:
            return
        last = page[-1].sequence
