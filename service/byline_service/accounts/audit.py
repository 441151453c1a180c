"""The audit log: who changed what, when. Rows are only ever added."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select

from byline_service.accounts.scopes import Caller
from byline_service.database import Connection
from byline_service.database.tables.accounts import audit

OPERATOR = Caller(key_id="", person="operator", scopes=frozenset())
"""Who uses the command line: whoever may read the database's files or its password."""


async def record(
    transaction: Connection,
    caller: Caller,
    action: str,
    subject: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write a line, in the transaction of what it tells of.

    Args:
        transaction: The open transaction.
        caller: Who did it; `OPERATOR` on the command line.
        action: What was done: `keys.create`, `aliases.switch`, `statements.approve`.
        subject: What it was done to: an id or a name.
        details: More, as JSON; never a secret, and nothing of a query or a training point.
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
    """Read lines, the newest first.

    Args:
        transaction: An open transaction.
        before: Only lines older than this one.
        limit: How many at most.
    """
    chosen = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(audit.c.id < before)
    return [dict(row) for row in (await transaction.execute(chosen)).mappings()]
