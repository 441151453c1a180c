"""Requests that happen once, however often they are sent: the header `Idempotency-Key`."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Request
from pydantic import BaseModel
from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from starlette.responses import Response

from byline.errors import InProgress, InvalidQuery, ReusedKey
from byline_service.accounts.scopes import Caller
from byline_service.database import Connection
from byline_service.database.tables.accounts import idempotency
from byline_service.http.bodies import JSON


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


if TYPE_CHECKING:
    from collections.abc import Iterator

    from byline_service.state import AppState

HEADER = "Idempotency-Key"
DECLARED: dict[str, Any] = {
    "parameters": [
        {
            "name": HEADER,
            "in": "header",
            "required": True,
            "description": "A new one for each request, the same one for its repetitions",
            "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
        }
    ]
}
"""What an endpoint that uses `run_once` adds to its `openapi_extra`."""
LONGEST = 200
Prepared = TypeVar("Prepared")


async def nothing() -> None:
    """Prepare nothing."""


async def run_once(
    request: Request,
    caller: Caller,
    body: bytes,
    prepare: Callable[[], Awaitable[Prepared]],
    book: Callable[[Connection, Prepared], Awaitable[tuple[int, BaseModel]]],
) -> Response:
    """Do what a request asks for, or repeat the answer that it got the first time.

    Args:
        request: Its header `Idempotency-Key` names the request.
        caller: Who asks.
        body: Its body as it came.
        prepare: What takes long, outside any transaction; `nothing` where there is none. It may run again.
        book: Does the work in the transaction that it is given, with what `prepare` returned, and returns status
            and answer. Its effects and the stored answer are committed together.

    Returns:
        The answer; a repeated one has the header `Idempotency-Replayed: true`.

    Raises:
        InvalidQuery: There is no such header, or it is too long.
        ReusedKey: The key came before with another body.
        InProgress: The first request with this key is not finished.
    """
    service: AppState = request.app.state.service
    attempt = Attempt.of(caller.key_id, f"{request.method} {request.url.path}"[:LONGEST], _key(request), body)
    with _alone(service.in_progress, attempt):
        async with service.database.read() as reading:
            replay = await find(reading, attempt)
        if replay is not None:
            return _answer(replay, replayed=True)
        prepared = await prepare()
        async with service.database.begin() as transaction:
            replay = await begin(transaction, attempt)
            if replay is not None:
                return _answer(replay, replayed=True)
            status, document = await book(transaction, prepared)
            answer = Replay(status, document.model_dump_json())
            await finish(transaction, attempt, answer)
    return _answer(answer, replayed=False)


def _key(request: Request) -> str:
    key = request.headers.get(HEADER, "")
    if not (0 < len(key) <= LONGEST and key.isascii() and key.isprintable()):
        raise InvalidQuery(
            f"expected a header {HEADER} of 1 to {LONGEST} printable ASCII characters, got {len(key)}: "
            "send a new one with each request, and the same one with its repetitions"
        )
    return key


@contextmanager
def _alone(in_progress: set[Attempt], attempt: Attempt) -> "Iterator[None]":
    """Refuse a repetition while the first request runs in this process; other replicas' wait in `begin`.

    Yields:
        While it runs.
    """
    if any(attempt.key == each.key and attempt.key_id == each.key_id for each in in_progress):
        raise InProgress("the first request with this Idempotency-Key is not finished: try again in a moment")
    in_progress.add(attempt)
    try:
        yield
    finally:
        in_progress.discard(attempt)


def _answer(replay: Replay, *, replayed: bool) -> Response:
    headers = {"Idempotency-Replayed": "true"} if replayed else None
    return Response(replay.body, status_code=replay.status, media_type=JSON, headers=headers)
