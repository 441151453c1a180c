"""Idempotent requests: the header `Idempotency-Key`, and the answers that are stored under it.

The stored answer is written in the transaction that it belongs to: both are committed, or neither. A second request with
the same key waits for the first transaction and then finds its answer.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from fastapi import Request
from pydantic import BaseModel
from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from starlette.responses import Response

from byline.errors import InProgress, InvalidQuery, ReusedKey
from byline_service.accounts.scopes import Caller
from byline_service.database import Connection, Database
from byline_service.database.tables.accounts import idempotency
from byline_service.http.bodies import JSON


@dataclass(frozen=True)
class Attempt:
    """One request with an `Idempotency-Key`."""

    person: str
    """Person who asks. All API keys of a person share the header's values. Persons are independent."""
    route: str
    """Method and path of the request, with an index's own name in place of an alias: `POST /v1/statement-runs`."""
    key: str
    """Value of the header `Idempotency-Key`."""
    body_digest: bytes
    """SHA-256 of the request body. With options beside the body: of that digest and the options."""

    @staticmethod
    def of(person: str, route: str, key: str, body: bytes, options: bytes = b"") -> "Attempt":
        """Create an attempt from a request body and the options beside it."""
        digest = hashlib.sha256(body).digest()
        return Attempt(person, route, key, hashlib.sha256(digest + options).digest() if options else digest)


@dataclass(frozen=True)
class Replay:
    """The stored answer of the first request."""

    status: int
    """HTTP status of the answer."""
    body: str
    """JSON body of the answer."""


async def begin(transaction: Connection, attempt: Attempt) -> Replay | None:
    """Reserve an idempotency key, or return the stored answer.

    Args:
        transaction: The open transaction.
        attempt: The request.

    Returns:
        The stored answer. None for the first request, and `finish` must follow.

    Raises:
        ReusedKey: The key was used with another body or other options.
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
    """Return the stored answer of a request. None if there is none.

    Raises:
        ReusedKey: The key was used with another body or other options.
    """
    row = (await transaction.execute(select(idempotency).where(*_same(attempt)))).mappings().first()
    if row is None:
        return None
    if bytes(row["body_digest"]) != attempt.body_digest:
        raise ReusedKey(
            "expected the body and options that were sent with this Idempotency-Key before, got others: use a new key"
        )
    assert row["status"] is not None, "`finish` must follow in the transaction of `begin`"
    return Replay(row["status"], row["body"])


async def finish(transaction: Connection, attempt: Attempt, answer: Replay) -> None:
    """Store the answer in the transaction of `begin`."""
    done = update(idempotency).where(*_same(attempt)).values(status=answer.status, body=answer.body)
    await transaction.execute(done)


async def forget(transaction: Connection, before: datetime) -> int:
    """Delete stored answers that are older than a time.

    Returns:
        Number of deleted rows.
    """
    return (await transaction.execute(delete(idempotency).where(idempotency.c.created_at < before))).rowcount


def _identity(attempt: Attempt) -> Mapping[str, str]:
    return {"person": attempt.person, "route": attempt.route, "key": attempt.key}


def _same(attempt: Attempt) -> list[Any]:
    return [idempotency.c[name] == value for name, value in _identity(attempt).items()]


HEADER = "Idempotency-Key"
LONGEST = 200
KEY = re.compile(f"[!-~](?:[ -~]{{0,{LONGEST - 2}}}[!-~])?")
IDEMPOTENCY_PARAMETER: dict[str, Any] = {
    "parameters": [
        {
            "name": HEADER,
            "in": "header",
            "required": True,
            "description": "A new one for each request, the same one for its repetitions",
            "schema": {"type": "string", "pattern": f"^{KEY.pattern}$"},
        }
    ]
}
"""OpenAPI declaration of the header, for the `openapi_extra` of an endpoint that uses `run_once`."""
Prepared = TypeVar("Prepared")


class IdempotencyState(Protocol):
    """The part of a running service that `run_once` needs."""

    database: Database
    """The database of stored answers."""
    in_progress: set[Attempt]
    """Requests that are being answered in this process."""

    def own_name(self, name: str) -> str:
        """Return an index's own name for the name or an alias of it."""


async def no_preparation() -> None:
    """Return at once: for endpoints without slow preparation."""


async def run_once(
    request: Request,
    caller: Caller,
    body: bytes,
    prepare: Callable[[], Awaitable[Prepared]],
    book: Callable[[Connection, Prepared], Awaitable[tuple[int, BaseModel]]],
    options: bytes = b"",
) -> Response:
    """Execute a request once, or repeat its stored answer.

    Args:
        request: The request, with the header `Idempotency-Key`.
        caller: The caller.
        body: The raw request body.
        prepare: Slow work outside any transaction. It may run again. `no_preparation` where there is none.
        book: Writes in the given transaction, with the result of `prepare`, and returns status and answer. Its effects
            and the stored answer are committed together.
        options: Canonical form of the query parameters that the effects depend on; empty where there are none.

    Returns:
        The answer. A repeated one has the header `Idempotency-Replayed: true`.

    Raises:
        InvalidQuery: The header is missing or too long.
        ReusedKey: The key was used with another body or other options.
        InProgress: The first request with this key is still running.
    """
    service: IdempotencyState = request.app.state.service
    attempt = Attempt.of(caller.person, _route(request, service), _key(request), body, options)
    with _exclusive(service.in_progress, attempt):
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


def _route(request: Request, service: IdempotencyState) -> str:
    """Return method and path. An alias and its index are one route, so that a generation is not booked under both."""
    path, name = request.url.path, request.path_params.get("name")
    if name is not None:
        path = request.scope["route"].path_format.format(
            **request.path_params | {"name": service.own_name(name)}
        )
    return f"{request.method} {path}"[:LONGEST]


def _key(request: Request) -> str:
    key = request.headers.get(HEADER, "")
    if not KEY.fullmatch(key):
        raise InvalidQuery(
            f"expected a header {HEADER} of 1 to {LONGEST} printable ASCII characters, got {len(key)}: "
            "send a new value with each request, and the same value with its repetitions"
        )
    return key


@contextmanager
def _exclusive(in_progress: set[Attempt], attempt: Attempt) -> Iterator[None]:
    """Refuse a repeated request while the first one runs in this process. Other replicas wait in `begin`.

    Yields:
        None, while the request runs.
    """
    if any(attempt.key == each.key and attempt.person == each.person for each in in_progress):
        raise InProgress(
            "the first request with this Idempotency-Key is still running: try again in a moment"
        )
    in_progress.add(attempt)
    try:
        yield
    finally:
        in_progress.discard(attempt)


def _answer(replay: Replay, *, replayed: bool) -> Response:
    headers = {"Idempotency-Replayed": "true"} if replayed else None
    return Response(replay.body, status_code=replay.status, media_type=JSON, headers=headers)
