"""Routes for attributions: which training points made the model predict this, and what is each owner's share?"""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.answer import Answer, SharesAnswer
from byline.api.attributions import Answers
from byline.errors import InvalidQuery
from byline_service.accounts.permissions import requires
from byline_service.attributions.handler import ClientGoneError, handle
from byline_service.attributions.requests import (
    GradientOptions,
    ParsedRequest,
    attribution_requests,
    gradient_request,
    shares_request,
)
from byline_service.attributions.streaming import EVENTS, EventStream, wants_events
from byline_service.http.bodies import JSON, SAFETENSORS, media_type
from byline_service.http.problems import problem_responses
from byline_service.settings import Settings

router = APIRouter(prefix="/v1/indexes/{name}", tags=["Attributions"], dependencies=[requires(Scope.QUERY)])
FAILURES = problem_responses(404, 413, 415, 422, 500, 503, 504)
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `Accept: text/event-stream` the events `progress` (any number), then `answer` "
        "or `problem`, whose data are a Progress, the answer or a Problem as JSON in one line",
        "content": {EVENTS: {"schema": {"type": "string"}}},
    }
}


@router.post(
    "/attributions",
    operation_id="attribute",
    response_model=Answer | Answers,
    responses=STREAMED | FAILURES,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": {"$ref": "#/components/schemas/AttributionBody"}},
                SAFETENSORS: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
async def attribute(request: Request, name: str, options: Annotated[GradientOptions, Query()]) -> Response:
    """Find the most influential training points of a query.

    Send JSON with one of `query`, `query_set`, `feature` and `queries` (a batch: the answer then
    holds one answer a query); or a safetensors body with gradient tensors named `member/parameter`,
    as the index's `gradients` lists them, and the options as query parameters.
    """
    settings: Settings = request.app.state.service.settings
    if media_type(request, JSON, SAFETENSORS) == SAFETENSORS:
        return await _answered(request, name, partial(gradient_request, settings, options))
    if request.query_params:
        raise InvalidQuery("expected the options of a JSON body inside it, got query parameters")
    return await _answered(request, name, partial(attribution_requests, settings))


@router.post(
    "/shares",
    operation_id="shares",
    response_model=SharesAnswer,
    responses=STREAMED | FAILURES,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/SharesBody"}}},
        }
    },
)
async def shares(request: Request, name: str) -> Response:
    """Compute each owner's share of one query's answer, over all rows of the index."""
    media_type(request, JSON)
    return await _answered(request, name, partial(shares_request, request.app.state.service.settings))


async def _answered(request: Request, name: str, parse: "partial[ParsedRequest]") -> Response:
    if wants_events(request):
        return EventStream(request, partial(handle, request, name, parse))
    try:
        written = await handle(request, name, parse)
    except (ClientGoneError, ClientDisconnect):
        return Response(status_code=499)  # nobody reads it; the log shows it
    return Response(written, media_type=JSON)
