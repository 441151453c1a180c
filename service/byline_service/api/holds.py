"""Holds and disputes: amounts that a run holds back, until a release pays them."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.holds import HoldBody, HoldDocument, HoldEnd, HoldEndBody, HoldState
from byline.api.page import Page
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.compensation.holds import Hold
from byline_service.database import Connection
from byline_service.http.bodies import json_body, request_body
from byline_service.http.locations import located
from byline_service.http.pagination import After, Limit, Number, cut, place_of
from byline_service.http.problems import problem_responses
from byline_service.idempotency import IDEMPOTENCY_PARAMETER, no_preparation, run_once
from byline_service.ledger import hold_queries, holding, party_queries
from byline_service.state import AppState

router = APIRouter(prefix="/v1/holds", tags=["Compensation"])
Compensating = Annotated[Caller, requires(Scope.COMPENSATE)]
Approving = Annotated[Caller, requires(Scope.APPROVE)]


@router.post(
    "",
    operation_id="place_hold",
    status_code=201,
    response_model=HoldDocument,
    responses=problem_responses(409, 413, 415, 422, 504, 507),
    openapi_extra=request_body(HoldBody) | IDEMPOTENCY_PARAMETER,
)
async def place(request: Request, caller: Compensating) -> Response:
    """Place a hold or a dispute on an owner or a work.

    While it is in force, runs put the subject's amounts into the account `held`. A `release` pays them out.
    """
    service: AppState = request.app.state.service
    wanted, body = await json_body(request, HoldBody)

    async def served() -> set[str]:
        return await asyncio.to_thread(service.owners)

    async def write(transaction: Connection, owners: set[str]) -> tuple[int, BaseModel]:
        await party_queries.require_known_owners(transaction, [wanted.subject.owner], owners)
        return 201, _document(await holding.place(transaction, caller, wanted))

    return located(await run_once(request, caller, body, served, write), "/v1/holds", "id")


@router.post(
    "/{hold}/end",
    operation_id="end_hold",
    response_model=HoldDocument,
    responses=problem_responses(404, 409, 413, 415, 422, 504, 507),
    openapi_extra=request_body(HoldEndBody) | IDEMPOTENCY_PARAMETER,
)
async def end(request: Request, hold: str, caller: Approving) -> Response:
    """End a hold. Nothing is paid by this: draft a `release` of the account `held`."""
    wanted, body = await json_body(request, HoldEndBody)

    async def write(transaction: Connection, prepared: None) -> tuple[int, BaseModel]:
        del prepared
        return 200, _document(await holding.end(transaction, caller, hold, wanted.reason))

    return await run_once(request, caller, body, no_preparation, write)


@router.get(
    "", operation_id="list_holds", responses=problem_responses(422), dependencies=[requires(Scope.READ)]
)
async def list_holds(
    request: Request,
    after: After = None,
    limit: Limit = 100,
    state: Annotated[HoldState | None, Query(description="Only holds in this state.")] = None,
) -> Page[HoldDocument]:
    """List the holds, the newest first."""
    service: AppState = request.app.state.service
    (last,) = place_of(after, tuple[Number]) or (None,)
    async with service.database.read() as reading:
        found = await hold_queries.page(reading, last, limit + 1, state)
    shown, following = cut(found, limit, lambda hold: (hold.placed.sequence,))
    return Page[HoldDocument].of([_document(hold) for hold in shown], following)


@router.get(
    "/{hold}",
    operation_id="get_hold",
    responses=problem_responses(404, 422),
    dependencies=[requires(Scope.READ)],
)
async def get_hold(request: Request, hold: str) -> HoldDocument:
    """Read a hold."""
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        return _document(await hold_queries.find(reading, hold))


def _document(hold: Hold) -> HoldDocument:
    ended = hold.ended
    return HoldDocument(
        id=hold.id,
        subject=hold.subject,
        nature=hold.nature,
        reason=hold.placed.reason,
        person=hold.placed.person,
        at=hold.placed.at,
        ended=None if ended is None else HoldEnd(person=ended.person, at=ended.at, reason=ended.reason),
    )
