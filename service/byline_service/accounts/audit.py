"""The audit log of changes. Rows are only ever added, each chained to the one before by its hash."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, RowMapping, insert, or_, select, text

from byline_service.accounts.scopes import Caller
from byline_service.database import Connection
from byline_service.database.audit_hash import GENESIS, audit_hash
from byline_service.database.tables.accounts import audit

PAGE = 500
"""Number of lines that are read at a time."""
_LOCK = text("SELECT pg_advisory_xact_lock(7164220592)")
OPERATOR = Caller(key_id="", person="operator", scopes=frozenset())
"""The caller of the command line: anyone who can read the database's files or its password."""


async def record(
    transaction: Connection,
    caller: Caller,
    action: str,
    subject: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write a line of the audit log in the transaction of the change. On PostgreSQL other writers wait for its end.

    Args:
        transaction: The open transaction.
        caller: The person who made the change. `OPERATOR` on the command line.
        action: The change: `keys.create`, `aliases.switch`, `statements.approve`.
        subject: Id or name of the changed object.
        details: More values, as JSON, without secrets and without parts of a query or a training point.
    """
    last = await _last(transaction)
    line = {
        "id": 1 if last is None else last.id + 1,
        "at": datetime.now(UTC),
        "key_id": caller.key_id or None,
        "person": caller.person,
        "action": action,
        "subject": subject,
        "details": dict(details or {}),
    }
    chained = audit_hash(line, GENESIS if last is None else last.hash)
    await transaction.execute(insert(audit).values(**line, hash=chained))


async def _last(transaction: Connection) -> "Row[Any, Any] | None":
    """Return the last line. On PostgreSQL a lock is held until the end of the transaction."""
    if transaction.dialect.name != "sqlite":
        await transaction.execute(_LOCK)
    chosen = select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1)
    return (await transaction.execute(chosen)).first()


async def rows(transaction: Connection) -> AsyncIterator[Sequence[RowMapping]]:
    """Read all lines in order.

    Yields:
        Some lines at a time.
    """
    chosen = select(audit).order_by(audit.c.id).execution_options(yield_per=PAGE)
    async for part in (await transaction.stream(chosen)).mappings().partitions():
        yield part


@dataclass(frozen=True)
class AuditFilter:
    """A part of the audit log."""

    subjects: tuple[str, ...] = ()
    """First words of actions, such as `holds` of `holds.place`. Empty means all."""
    action: str | None = None
    """The whole action. None means all."""
    person: str | None = None
    """The person. None means all."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions on lines."""
        found: list[ColumnElement[bool]] = []
        if self.subjects:
            found.append(or_(*(audit.c.action.startswith(f"{each}.") for each in self.subjects)))
        if self.action is not None:
            found.append(audit.c.action == self.action)
        if self.person is not None:
            found.append(audit.c.person == self.person)
        return found


ALL = AuditFilter()


async def values(transaction: Connection, column: str, chosen: AuditFilter) -> list[str]:
    """Return the distinct values of a column, sorted.

    Args:
        transaction: An open transaction.
        column: `person` or `action`.
        chosen: Lines to look at.
    """
    of = audit.c[column]
    found = await transaction.execute(select(of).where(*chosen.conditions()).distinct().order_by(of))
    return list(found.scalars())


async def page(
    transaction: Connection, before: int | None, limit: int, part: AuditFilter = ALL
) -> list[Mapping[str, Any]]:
    """Return lines, the newest first.

    Args:
        transaction: An open transaction.
        before: Only lines older than this one.
        limit: Most lines to return.
        part: Lines to look at.
    """
    shown = [column for column in audit.c if column is not audit.c.hash]
    chosen = select(*shown).where(*part.conditions()).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(audit.c.id < before)
    return [dict(row) for row in (await transaction.execute(chosen)).mappings()]
