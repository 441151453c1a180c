"""Routes for recorded answers."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.recorded_answers import RecordBody, RecordedAnswer
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.answers import answer_queries
from byline_service.answers.recording import record
from byline_service.attributions.handler import ClientGoneError
from byline_service.attributions.streaming import EVENTS, EventStream, wants_events
from byline_service.http.bodies import JSON, media_type, request_body
from byline_service.http.locations import located
from byline_service.http.problems import problem_responses
from byline_service.state import AppState

router = APIRouter(prefix="/v1", tags=["Attributions"])
AnswerId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="Id of a recorded answer")]
STREAMED: dict[int | str, dict[str, Any]] = {
    201: {
        "description": "The recorded answer. With `Accept: text/event-stream` the status is 200, and the events are "
        "`progress` (any number), then `answer` or `problem`",
        "content": {EVENTS: {"schema": {"type": "string"}}},
    }
}


@router.post(
    "/indexes/{name}/answers",
    operation_id="record_answer",
    status_code=201,
    response_model=RecordedAnswer,
    responses=STREAMED | problem_responses(404, 409, 413, 415, 422, 500, 503, 504, 507),
    dependencies=[requires(Scope.QUERY)],
    openapi_extra=request_body(RecordBody),
)
async def record_answer(request: Request, name: str) -> Response:
    """Answer a question and keep the answer as it was given, for `BYLINE_ANSWER_DAYS` days."""
    media_type(request, JSON)
    if wants_events(request):
        return EventStream(request, partial(record, request, name))
    try:
        written = await record(request, name)
    except (ClientGoneError, ClientDisconnect):
        return Response(status_code=499)
    return located(Response(written, 201, media_type=JSON), "/v1/answers", "id")


@router.get("/answers/{answer_id}", operation_id="get_answer", responses=problem_responses(404, 422))
async def get_answer(
    request: Request, caller: Annotated[Caller, requires(Scope.READ)], answer_id: AnswerId
) -> RecordedAnswer:
    """Read a recorded answer: one's own, or one that is shared. Admins read any."""
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        return await answer_queries.find(reading, caller, answer_id, datetime.now(UTC))


@router.delete(
    "/answers/{answer_id}",
    operation_id="delete_answer",
    status_code=204,
    responses=problem_responses(404, 422, 507),
)
async def delete_answer(
    request: Request, caller: Annotated[Caller, requires(Scope.QUERY)], answer_id: AnswerId
) -> Response:
    """Delete a recorded answer of one's own. Admins delete any."""
    service: AppState = request.app.state.service
    async with service.database.begin() as transaction:
        await answer_queries.remove(transaction, caller, answer_id)
    return Response(status_code=204)
