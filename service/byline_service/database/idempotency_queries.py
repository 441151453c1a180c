"""Answers to requests that must not happen twice.

The row is written in the transaction of what it protects, so that both are there or neither. Whoever comes second
with the same key waits for the first one's transaction, then finds its answer. `byline_service.idempotency.once` is
how an endpoint uses this.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from byline.errors import ReusedKey
from byline_service.database import Connection
from byline_service.database.tables.accounts import idempotency


@dataclass(frozen=True)
class Attempt:
    """One try of a request."""

    key_id: str
    """Whose: two callers' keys have nothing to do with each other."""
    route: str
    """`POST /v1/statement-runs`, with the names in its path."""
    key: str
    """The header `Idempotency-Key`."""
    body_digest: bytes
    """SHA-256 of the body."""

    @staticmethod
    def of(key_id: str, route: str, key: str, body: bytes) -> "Attempt":
        """Name a try by its body."""
        return Attempt(key_id, route, key, hashlib.sha256(body).digest())


@dataclass(frozen=True)
class Replay:
    """The answer that a request got the first time."""

    status: int
    """Its HTTP status."""
    body: str
    """Its JSON."""


async def begin(transaction: Connection, attempt: Attempt) -> Replay | None:
    """Begin a request within the transaction that will do its work.

    Args:
        transaction: The open transaction.
        attempt: The try.

    Returns:
        The answer of the first time; None: this is the first time, and `finish` must follow.

    Raises:
        ReusedKey: The key came before with another body.
    """
    make = sqlite.insert if transaction.dialect.name == "sqlite" else postgresql.insert
    added = make(idempotency).values(
        **_identity(attempt), body_digest=attempt.body_digest, created_at=datetime.now(UTC)
    )
    first = await transaction.execute(added.on_conflict_do_nothing().returning(idempotency.c.key))
    if first.first() is not None:
        return None
    return await find(transaction, attempt)


async def find(transaction: Connection, attempt: Attempt) -> Replay | None:
    """Find the answer of the first time; None: there was none.

    Raises:
        ReusedKey: The key came before with another body.
    """
    row = (await transaction.execute(select(idempotency).where(*_same(attempt)))).mappings().first()
    if row is None:
        return None
    if bytes(row["body_digest"]) != attempt.body_digest:
        raise ReusedKey(
            "expected the body that came with this Idempotency-Key before, got another one: take a new key"
        )
    assert row["status"] is not None, "`finish` must follow in the transaction of `begin`"
    return Replay(row["status"], row["body"])


async def finish(transaction: Connection, attempt: Attempt, answer: Replay) -> None:
    """Store the answer, in the transaction that `begin` was called in."""
    done = update(idempotency).where(*_same(attempt)).values(status=answer.status, body=answer.body)
    await transaction.execute(done)


async def forget(transaction: Connection, before: datetime) -> int:
    """Delete answers that nobody will ask for again.

    Returns:
        How many.
    """
    return (await transaction.execute(delete(idempotency).where(idempotency.c.created_at < before))).rowcount


def _identity(attempt: Attempt) -> Mapping[str, str]:
    return {"key_id": attempt.key_id, "route": attempt.route, "key": attempt.key}


def _same(attempt: Attempt) -> list[Any]:
    return [idempotency.c[name] == value for name, value in _identity(attempt).items()]
