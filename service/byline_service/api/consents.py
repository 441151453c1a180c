"""Consents: whether works may be used, from which time, and by which source."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.consents import ConsentDocument, ConsentRow, ConsentsBody, ConsentsRecorded
from byline.api.holds import Subject
from byline.api.page import Page
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.compensation.consents import Consent, ConsentRecord, ConsentsFact
from byline_service.compensation.timestamps import timestamp_text
from byline_service.database import Connection
from byline_service.http.bodies import json_body, request_body
from byline_service.http.locations import located
from byline_service.http.pagination import After, Limit, Number, cut, place_of
from byline_service.http.problems import problem_responses
from byline_service.idempotency import IDEMPOTENCY_PARAMETER, run_once
from byline_service.ledger import consent_queries, party_queries
from byline_service.state import AppState

router = APIRouter(prefix="/v1/consents", tags=["Compensation"])
Compensating = Annotated[Caller, requires(Scope.COMPENSATE)]


@router.post(
    "",
    operation_id="record_consents",
    status_code=201,
    response_model=ConsentsRecorded,
    responses=problem_responses(409, 413, 415, 422, 504, 507),
    openapi_extra=request_body(ConsentsBody) | IDEMPOTENCY_PARAMETER,
)
async def record(request: Request, caller: Compensating) -> Response:
    """Record the consent for works: `allowed`, `prohibited` (an opt-out or a takedown) or `expired`.

    Runs hold the amounts of works without consent back, from events since then. Answers no longer list the works.
    """
    service: AppState = request.app.state.service
    wanted, body = await json_body(request, ConsentsBody)

    async def served() -> set[str]:
        return await asyncio.to_thread(service.owners)

    async def write(transaction: Connection, owners: set[str]) -> tuple[int, BaseModel]:
        await party_queries.require_known_owners(transaction, {row.owner for row in wanted.consents}, owners)
        at = await consent_queries.record(transaction, caller, consents_fact(wanted.consents))
        return 201, ConsentsRecorded(recorded=len(wanted.consents), at=at)

    return located(await run_once(request, caller, body, served, write), "/v1/consents")


@router.get(
    "", operation_id="list_consents", responses=problem_responses(422), dependencies=[requires(Scope.READ)]
)
async def list_consents(
    request: Request,
    after: After = None,
    limit: Limit = 100,
    index: Annotated[str | None, Query(max_length=64, description="Only consents of this index.")] = None,
) -> Page[ConsentDocument]:
    """List the consents, the newest first."""
    service: AppState = request.app.state.service
    before = place_of(after, tuple[Number, Number])
    async with service.database.read() as reading:
        found = await consent_queries.page(reading, before, limit + 1, index)
    shown, following = cut(found, limit, lambda each: (each.sequence, each.line))
    return Page[ConsentDocument].of([_document(each) for each in shown], following)


def consents_fact(rows: list[ConsentRow]) -> ConsentsFact:
    """Make the record of some consents.

    Args:
        rows: The consents.
    """
    return ConsentsFact(
        consents=tuple(
            Consent(
                subject=Subject(owner=row.owner, index=row.index, work=row.work),
                version=row.version,
                status=row.status,
                since=timestamp_text(row.since),
                source=row.source,
            )
            for row in rows
        )
    )


def _document(record: ConsentRecord) -> ConsentDocument:
    consent = record.consent
    return ConsentDocument(
        **consent.subject.model_dump(),
        **consent.model_dump(exclude={"subject"}),
        person=record.person,
        at=record.at,
    )
