"""SQL of consents."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import RowMapping, Select, insert, or_, select

from byline.api.holds import Subject
from byline_service.accounts import audit
from byline_service.accounts.scopes import Caller
from byline_service.compensation.consents import (
    Consent,
    ConsentBook,
    ConsentRecord,
    ConsentsFact,
    allowed_since,
    records_of,
    restrictions_of,
)
from byline_service.compensation.restrictions import Restriction
from byline_service.compensation.timestamps import parse_timestamp, timestamp_text
from byline_service.database import Connection
from byline_service.database.tables.compensation import consents
from byline_service.ledger import journal_queries

Row = Mapping[str, Any]


async def record(transaction: Connection, caller: Caller, fact: ConsentsFact) -> str:
    """Record consents.

    Args:
        transaction: The open transaction.
        caller: The person who records them.
        fact: The consents.

    Returns:
        The time of the record.
    """
    place = await journal_queries.next_position(transaction)
    await journal_queries.write(transaction, place, caller.person, fact)
    rows = [_row(each) for each in records_of(fact, place.sequence, caller.person, place.at)]
    await transaction.execute(insert(consents), rows)
    await audit.record(transaction, caller, "consents.record", str(place.sequence), {"consents": len(rows)})
    return place.at


async def page(
    transaction: Connection, before: tuple[int, int] | None, limit: int, index: str | None = None
) -> list[ConsentRecord]:
    """Return consents, the newest first.

    Args:
        transaction: An open transaction.
        before: Only consents before this sequence and line.
        limit: Most consents to return.
        index: Only consents of this index.
    """
    sequence, line = consents.c.sequence, consents.c.line
    chosen = _of_index(index).order_by(sequence.desc(), line.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(or_(sequence < before[0], (sequence == before[0]) & (line < before[1])))
    return [_record(row) for row in (await transaction.execute(chosen)).mappings()]


async def restrictions(transaction: Connection, basis: int, index: str | None = None) -> list[Restriction]:
    """Return the restrictions by the records up to a sequence.

    Args:
        transaction: An open transaction.
        basis: Sequence of the last record that counts.
        index: Only those of this index.
    """
    return restrictions_of(await _upto(transaction, basis, index))


async def allowed_between(transaction: Connection, since: str, basis: int) -> int:
    """Count the consents that ended a restriction from a time on, by the records up to a sequence."""
    return allowed_since(await _upto(transaction, basis), since)


def expected(book: ConsentBook) -> Iterable[Row]:
    """Derive the rows of all consents."""
    return (_row(each) for each in book.records)


async def _upto(transaction: Connection, basis: int, index: str | None = None) -> list[ConsentRecord]:
    chosen = _of_index(index).where(consents.c.sequence <= basis)
    return [_record(row) for row in (await transaction.execute(chosen)).mappings()]


def _of_index(index: str | None) -> Select[Any]:
    return select(consents) if index is None else select(consents).where(consents.c.index_name == index)


def _row(record: ConsentRecord) -> Row:
    consent = record.consent
    return {
        "sequence": record.sequence,
        "line": record.line,
        "owner": consent.subject.owner,
        "index_name": consent.subject.index,
        "work": consent.subject.work,
        "version": consent.version,
        "status": consent.status,
        "since": parse_timestamp(consent.since),
        "source": consent.source,
        "person": record.person,
        "at": parse_timestamp(record.at),
    }


def _record(row: RowMapping) -> ConsentRecord:
    return ConsentRecord(
        sequence=row["sequence"],
        line=row["line"],
        person=row["person"],
        at=timestamp_text(row["at"]),
        consent=Consent(
            subject=Subject(owner=row["owner"], index=row["index_name"], work=row["work"]),
            version=row["version"],
            status=row["status"],
            since=timestamp_text(row["since"]),
            source=row["source"],
        ),
    )
