"""The recording of an answer: it is computed as any other, and stored as it was given."""

import json
import secrets
from datetime import UTC, datetime, timedelta

from fastapi import Request

from byline.api.recorded_answers import RecordBody, RecordedAnswer
from byline.api.validation import validated
from byline.errors import Conflict, Forbidden, InputTooLarge, InvalidQuery
from byline_service.accounts.permissions import caller_of
from byline_service.answers import answer_queries
from byline_service.attributions.handler import ProgressListener, handle
from byline_service.attributions.requests import ParsedRequest, requests_of
from byline_service.http.bodies import parse_json
from byline_service.settings import Settings
from byline_service.state import AppState


class Question:
    """Parses the body of a question, and keeps it.

    Args:
        settings: The limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.body: RecordBody | None = None

    def __call__(self, body: bytes) -> ParsedRequest:
        """Parse a body.

        Raises:
            InvalidQuery: The body is not valid, exceeds a limit, or holds a batch.
        """
        self.body = validated(RecordBody, parse_json(body), "body")
        if self.body.question.queries is not None:
            raise InvalidQuery("expected one question to record, got a batch: record each query by itself")
        return requests_of(self._settings, self.body.question)


async def record(request: Request, name: str, listener: ProgressListener | None = None) -> str:
    """Answer a question and record the answer.

    Args:
        request: The request.
        name: The index or alias.
        listener: Receives the progress.

    Returns:
        The recorded answer as JSON.

    Raises:
        Forbidden: The service records no answers.
        Conflict: The person has the most answers that are kept.
        InputTooLarge: The answer is larger than the limit.
    """
    service: AppState = request.app.state.service
    caller = caller_of(request)
    await _require_room(service, caller.person)
    question = Question(service.settings)
    written = await handle(request, name, question, listener)
    assert question.body is not None, "the handler has parsed it"
    answer = json.loads(written)
    now = datetime.now(UTC)
    recorded = RecordedAnswer(
        id=secrets.token_hex(16),
        index=answer["index"],
        version=answer["version"],
        person=caller.person,
        shared=question.body.shared,
        recorded_at=now,
        expires_at=now + timedelta(days=service.settings.answer_days),
        question=question.body.question.model_dump(mode="json", exclude_unset=True),
        answer=answer,
    )
    _require_size(service.settings, written, recorded)
    async with service.database.begin() as transaction:
        await answer_queries.add(transaction, recorded, written)
    return recorded.model_dump_json()


async def _require_room(service: AppState, person: str) -> None:
    most = service.settings.answers_per_person
    if service.settings.answer_days == 0:
        raise Forbidden("expected a service that records answers, got one with BYLINE_ANSWER_DAYS=0")
    async with service.database.read() as reading:
        if await answer_queries.count(reading, person) >= most:
            raise Conflict(f"expected fewer than {most} recorded answers of a person: delete some")


def _require_size(settings: Settings, answer: str, recorded: RecordedAnswer) -> None:
    size = len(answer.encode()) + len(json.dumps(recorded.question))
    if size > settings.answer_bytes:
        raise InputTooLarge(
            f"expected an answer of at most {settings.answer_bytes} bytes with its question, got {size}: ask for fewer "
            "examples or owners"
        )
