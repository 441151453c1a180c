"""The audit log of changes. Rows are only ever added."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select

from byline_service.accounts.scopes import Caller
from byline_service.database import Connection
from byline_service.database.tables.accounts import audit

OPERATOR = Caller(key_id="", person="operator", scopes=frozenset())
"""The caller of the command line: anyone who can read the database's files or its password."""


async def record(
    transaction: Connection,
    caller: Caller,
    action: str,
    subject: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write a line of the audit log in the transaction of the change.

    Args:
        transaction: The open transaction.
        caller: The person who made the change. `OPERATOR` on the command line.
        action: The change: `keys.create`, `aliases.switch`, `statements.approve`.
        subject: Id or name of the changed object.
        details: More values, as JSON, without secrets and without parts of a query or a training point.
    """
    await transaction.execute(
        insert(audit).values(
            at=datetime.now(UTC),
            key_id=caller.key_id or None,
            person=caller.person,
            action=action,
            subject=subject,
            details=dict(details or {}),
        )
    )


async def page(transaction: Connection, before: int | None, limit: int) -> list[Mapping[str, Any]]:
    """Return lines, the newest first.

    Args:
        transaction: An open transaction.
        before: Only lines older than this one.
        limit: Most lines to return.
    """
    chosen = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(audit.c.id < before)
    return [dict(row) for row in (await transaction.execute(chosen)).mappings()]
