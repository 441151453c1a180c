"""Requests that happen once, however often they are sent: the header `Idempotency-Key`."""

from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from byline.errors import InProgress, InvalidQuery
from byline_service.accounts.scopes import Caller
from byline_service.database import Connection, idempotency_queries
from byline_service.database.idempotency_queries import Attempt, Replay
from byline_service.http.bodies import JSON

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
            replay = await idempotency_queries.find(reading, attempt)
        if replay is not None:
            return _answer(replay, replayed=True)
        prepared = await prepare()
        async with service.database.begin() as transaction:
            replay = await idempotency_queries.begin(transaction, attempt)
            if replay is not None:
                return _answer(replay, replayed=True)
            status, document = await book(transaction, prepared)
            answer = Replay(status, document.model_dump_json())
            await idempotency_queries.finish(transaction, attempt, answer)
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
