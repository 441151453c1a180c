"""Verification of the journal and of the audit log, and of all tables against them: `byline ledger verify`."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from sqlalchemy import RowMapping, Table, select

from byline_service.compensation.event import Event
from byline_service.compensation.journal import EventBooked, Record, record_hash
from byline_service.compensation.replay.journal_replay import LedgerReplay
from byline_service.compensation.replay.ledger import Finding, ReplayedLedger
from byline_service.compensation.timestamps import timestamp_text
from byline_service.database import Connection, Database
from byline_service.ledger import journal_queries, party_queries, statement_queries
from byline_service.ledger.expected_rows import expected_rows
from byline_service.ledger.heads import Head, HeadCheck
from byline_service.ledger.journal_queries import Row
from byline_service.ledger.verify_audit import replay_audit
from byline_service.ledger.verify_triggers import trigger_findings

Key = tuple[Any, ...]
PIECE = 500
"""Number of rows that are compared at a time."""


@dataclass
class Verification:
    """The result of a verification."""

    findings: list[Finding] = field(default_factory=list)
    """Errors that were found."""
    records: int = 0
    """Number of journal records."""
    head: str = ""
    """Hash of the last record: keep a copy elsewhere."""
    events: int = 0
    """Number of booked events."""
    runs: int = 0
    """Number of statement runs."""
    posted: int = 0
    """Number of posted runs."""
    audit: int = 0
    """Id of the last line of the audit log."""
    audit_head: str = ""
    """Hash of that line: keep a copy elsewhere."""


async def verify(database: Database, noted: Sequence[Head] = ()) -> Verification:
    """Verify the journal and the audit log, and every table against them, in one state of the database.

    Long computations run in threads, so that a service goes on answering.

    Args:
        database: The database. It is only read.
        noted: Earlier heads of both logs.

    Returns:
        The result.
    """
    async with database.read() as reading:
        # Nobody can post a void or rejected run. That the journal has each of these steps is compared at the end.
        book = ReplayedLedger(void=await statement_queries.ended_unposted(reading))
        replay, heads = LedgerReplay(book), HeadCheck("journal", noted)
        async for row in journal_queries.rows(reading):
            await _read(reading, replay, row)
            heads.see(row.sequence, row.hash)
        book.findings += heads.findings
        for table, rows in (await asyncio.to_thread(expected_rows, book)).items():
            book.findings += await _compared(reading, table, rows)
        book.findings += await trigger_findings(reading)
        audit = await replay_audit(reading, noted)
        book.findings += await party_queries.wrong_details(reading, book.parties)
    return Verification(
        findings=book.findings + audit.findings,
        records=book.head[0],
        head=book.head[1],
        events=len(book.events),
        runs=len(book.runs),
        posted=sum(run.state == "posted" for run in book.runs.values()),
        audit=audit.last,
        audit_head=audit.hash,
    )


async def _read(reading: Connection, replay: LedgerReplay, row: Row) -> None:
    record, wrong = await asyncio.to_thread(_parsed, row)
    book = replay.ledger
    book.findings += wrong
    if record is None:
        book.head = row.sequence, row.hash
        return
    events = await _events(reading, replay.wanted(record))
    await asyncio.to_thread(replay.read, record, row.hash, events)


def _parsed(row: Row) -> tuple[Record | None, list[Finding]]:
    """Parse the document of a row. None if it is not readable."""
    where = f"journal {row.sequence}"
    try:
        record = Record.model_validate_json(row.document)
    except ValidationError:
        return None, [Finding(where, "its document cannot be read")]
    wrong = []
    if record.canonical() != row.document.encode():
        wrong.append(Finding(where, "its document is not canonical"))
    if record_hash(row.document.encode()) != row.hash:
        wrong.append(Finding(where, "its document does not have the stored hash"))
    if (record.sequence, record.at) != (row.sequence, timestamp_text(row.at)):
        wrong.append(Finding(where, "sequence or time beside the document are others than in it"))
    return record, wrong


async def _events(reading: Connection, wanted: list[int]) -> dict[int, Event]:
    """Read events again. They were readable before."""
    facts = [(each.sequence, each.fact) for each in await journal_queries.records(reading, wanted)]
    return {sequence: fact.event for sequence, fact in facts if isinstance(fact, EventBooked)}


async def _compared(
    reading: Connection, table: Table, rows: Mapping[Key, Mapping[str, Any]]
) -> list[Finding]:
    """Compare a table with its expected rows: none missing, none extra, none with another value."""
    findings: list[Finding] = []
    left = dict(rows)
    streamed = await reading.stream(select(table).execution_options(yield_per=PIECE))
    async for stored in streamed.mappings().partitions():
        findings += await asyncio.to_thread(_differing, stored, table, left)
    return findings + [
        Finding(f"{table.name} {', '.join(map(str, key))}", "the row is missing: the journal has it")
        for key in left
    ]


def _differing(
    found: Sequence[RowMapping], table: Table, left: dict[Key, Mapping[str, Any]]
) -> list[Finding]:
    """Compare some rows, and remove them from the expected rows that are left."""
    findings: list[Finding] = []
    for stored in found:
        key = tuple(stored[column.name] for column in table.primary_key.columns)
        where = f"{table.name} {', '.join(map(str, key))}"
        wanted = left.pop(key, None)
        if wanted is None:
            findings.append(Finding(where, "the journal does not have this row"))
            continue
        wrong = [name for name, value in wanted.items() if stored[name] != value]
        if wrong:
            findings.append(Finding(where, f"other values than in the journal: {', '.join(wrong)}"))
    return findings
