"""Booking attributed generations, once each."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.compensation import (
    EventBody,
    EventDetails,
    EventDocument,
    EventShare,
    Reason,
    Reference,
    Weight,
    WorkScore,
)
from byline.api.page import Page
from byline.api.receipts import Receipt
from byline.api.terms import Asked
from byline.api.validation import validated
from byline.errors import InvalidQuery
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.attributions.handler import ClientGoneError, handle_read_body
from byline_service.attributions.receipts import answer_receipt
from byline_service.attributions.requests import ParsedRequest, event_request, form_of, gradient_event_request
from byline_service.compensation.eligibility import not_payable
from byline_service.compensation.event import Event, signed_bytes
from byline_service.compensation.integer_shares import exact_shares
from byline_service.compensation.policy import require_admitted
from byline_service.compensation.receipts import event_of
from byline_service.compensation.timestamps import timestamp_text
from byline_service.compensation.works import rest_of
from byline_service.database import Connection
from byline_service.http.bodies import JSON, SAFETENSORS, media_type, parse_json, read_body, request_body
from byline_service.http.locations import located
from byline_service.http.pagination import After, Limit, Number, cut, place_of
from byline_service.http.problems import problem_responses
from byline_service.idempotency import IDEMPOTENCY_PARAMETER, run_once
from byline_service.ledger import event_queries, policy_queries
from byline_service.ledger.booking import book_event
from byline_service.state import AppState

router = APIRouter(prefix="/v1/indexes/{name}/events", tags=["Compensation"])
Compensating = Annotated[Caller, requires(Scope.COMPENSATE)]


class GradientEventOptions(BaseModel):
    """Options of a gradient body, as query parameters."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    weight: Weight = 1
    """Weight of the event in the pool, relative to other events."""
    reference: Reference | None = None
    """Your own name for the generation."""


def _with_gradients() -> dict[str, Any]:
    """Declare both bodies and the key."""
    body = request_body(EventBody)
    body["requestBody"]["content"][SAFETENSORS] = {"schema": {"type": "string", "format": "binary"}}
    return body | IDEMPOTENCY_PARAMETER


@router.post(
    "",
    operation_id="book_event",
    status_code=201,
    response_model=EventDocument,
    responses=problem_responses(404, 409, 413, 415, 422, 500, 504, 507),
    openapi_extra=_with_gradients(),
)
async def book(
    request: Request, name: str, caller: Compensating, options: Annotated[GradientEventOptions, Query()]
) -> Response:
    """Attribute one generation and book each owner's score, once for each `Idempotency-Key`.

    Send JSON with one of `query`, `query_set`, `feature` and `receipt`, or a safetensors body with gradient tensors
    and the options as query parameters. A `receipt` is booked as it was signed, once. An answer that no policy could
    pay for (incomplete coverage, no standard error) is refused.
    """
    service: AppState = request.app.state.service
    kind = media_type(request, JSON, SAFETENSORS)
    body = await read_body(request, service.settings.deadline_seconds)
    ask = partial(_asked_receipt, request, name)
    beside = b""
    receipt: Callable[[], Awaitable[Receipt]]
    if kind == SAFETENSORS:
        sent: GradientEventOptions | EventBody = options
        receipt = partial(ask, "gradient", partial(gradient_event_request, body))
        if options != GradientEventOptions():
            beside = options.model_dump_json().encode()
    else:
        if request.query_params:
            raise InvalidQuery("expected the options of a JSON body inside it, got query parameters")
        sent = validated(EventBody, parse_json(body), "body")
        if sent.receipt is None:
            receipt = partial(ask, form_of(sent), partial(event_request, service.settings, sent))
        else:
            receipt = partial(_sent_receipt, request, name, sent)

    async def prepare() -> Event:
        now = timestamp_text(datetime.now(UTC))
        return event_of(await receipt(), now, weight=sent.weight, reference=sent.reference)

    async def write(transaction: Connection, event: Event) -> tuple[int, BaseModel]:
        key = service.keyring.accepted[event.signature.key]
        return 201, _document(await book_event(transaction, caller, event, key))

    try:
        response = located(
            await run_once(request, caller, body, prepare, write, beside), request.scope["path"], "id"
        )
    except (ClientGoneError, ClientDisconnect):
        return Response(status_code=499)
    if "idempotency-replayed" not in response.headers:
        service.metrics.events.labels(name).inc()
    return response


async def _asked_receipt(
    request: Request, name: str, asked: Asked, parse: Callable[[], ParsedRequest]
) -> Receipt:
    """Answer a question, and sign the owners' scores."""
    service: AppState = request.app.state.service
    attributor = service.versions.pin(request.scope, name).attributor
    await _require_payable(service, attributor.name, attributor.index.version, asked)
    parsed, (answer,) = await handle_read_body(request, name, parse)
    return answer_receipt(attributor, parsed.requests[0], answer, service.keyring.signing)


async def _sent_receipt(request: Request, name: str, sent: EventBody) -> Receipt:
    """Check a receipt: alone in the body, signed by this service, and of this index.

    Raises:
        InvalidQuery: The receipt stands beside a question, or is of another index.
        InvalidInput: No accepted key signed it.
    """
    service: AppState = request.app.state.service
    receipt = sent.receipt
    assert receipt is not None, "the caller checks it"
    if beside := sent.model_fields_set - {"receipt", "weight", "reference"}:
        raise InvalidQuery(
            f"expected a receipt without a question, got {', '.join(sorted(beside))} beside it"
        )
    content = receipt.content
    signed = await asyncio.to_thread(signed_bytes, content)
    service.keyring.signer(receipt.signature, signed)
    own = service.index_of(name)
    if content.index != own:
        raise InvalidQuery(f"expected a receipt of the index {own}, got one of another index: book it there")
    await _require_payable(service, own, content.version, content.asked)
    return receipt


async def _require_payable(service: AppState, index: str, version: str, asked: Asked) -> None:
    """Refuse a damaged version, and a form of question that no policy admits."""
    async with service.database.read() as reading:
        if await event_queries.is_damaged(reading, index, version):
            raise not_payable([Reason.DAMAGED])
        require_admitted(await policy_queries.current(reading), index, asked)


@router.get(
    "", operation_id="list_events", responses=problem_responses(422), dependencies=[requires(Scope.READ)]
)
async def list_events(
    request: Request,
    name: str,
    after: After = None,
    limit: Limit = 100,
) -> Page[EventDocument]:
    """List the events of an index, the newest first."""
    service: AppState = request.app.state.service
    (last,) = place_of(after, tuple[Number]) or (None,)
    async with service.database.read() as reading:
        found = await event_queries.page(reading, service.own_name(name), last, limit + 1)
    shown, following = cut(found, limit, lambda row: (row[0],))
    return Page[EventDocument].of([_document(event) for _, event in shown], following)


@router.get(
    "/{event_id}",
    operation_id="get_event",
    responses=problem_responses(404, 422),
    dependencies=[requires(Scope.READ)],
)
async def get_event(request: Request, name: str, event_id: str) -> EventDetails:
    """Read an event with its scores and shares."""
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        return _details(await event_queries.find(reading, service.own_name(name), event_id))


def _document(event: Event) -> EventDocument:
    return EventDocument(
        standard_error_scope=event.error_scope,
        standard_error_units=event.units,
        owners=len(event.scores),
        sha256=event.sha256,
        **event.model_dump(include=set(EventDocument.model_fields) & set(Event.model_fields)),
    )


def _details(event: Event) -> EventDetails:
    exact = exact_shares(event)
    shares = [
        EventShare(
            owner=owner,
            scores=list(scores),
            share=float(exact[owner].share) if owner in exact else 0.0,
            standard_error=float(exact[owner].standard_error) if owner in exact else 0.0,
            works=[WorkScore(example=work, score=n) for work, n in event.works.get(owner, ())],
            rest=rest_of(event, owner),
        )
        for owner, scores in sorted(event.scores.items())
    ]
    head = _document(event).model_dump()
    return EventDetails(**head, members=list(event.members), scale=event.scale, shares=shares)
