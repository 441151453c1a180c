"""Rosters: the owners of a served version go on record, for training pools and the fallback `by_size`."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.compensation import Reason
from byline.api.page import Page
from byline.api.rosters import RosterDocument
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.compensation.eligibility import not_payable
from byline_service.compensation.rosters import Roster, RosterRecord
from byline_service.database import Connection
from byline_service.http.bodies import read_body
from byline_service.http.locations import located
from byline_service.http.pagination import After, Limit, Number, cut, place_of
from byline_service.http.problems import problem_responses
from byline_service.idempotency import IDEMPOTENCY_PARAMETER, run_once
from byline_service.ledger import event_queries, roster_queries
from byline_service.state import AppState

router = APIRouter(prefix="/v1/indexes/{name}/rosters", tags=["Compensation"])
Compensating = Annotated[Caller, requires(Scope.COMPENSATE)]


@router.post(
    "",
    operation_id="record_roster",
    status_code=201,
    response_model=RosterDocument,
    responses=problem_responses(404, 409, 413, 422, 504, 507),
    openapi_extra=IDEMPOTENCY_PARAMETER,
)
async def record(request: Request, name: str, caller: Compensating) -> Response:
    """Record the owners of the served version, with their numbers of rows. Every row must have an owner.

    A training pool is divided by the last roster before the end of its period.
    """
    service: AppState = request.app.state.service
    body = await read_body(request, service.settings.deadline_seconds)

    async def prepare() -> Roster:
        served = service.versions.pin(request.scope, name)
        index = served.attributor.index
        async with service.database.read() as reading:
            if await event_queries.is_damaged(reading, served.attributor.name, index.version):
                raise not_payable([Reason.DAMAGED], "this version")
        sizes = {owner: count for owner, count, _ in served.catalogue.owners}
        if sum(sizes.values()) != index.rows:
            raise not_payable([Reason.INCOMPLETE_COVERAGE], "this version")
        return Roster(
            index=served.attributor.name,
            version=index.version,
            manifest=index.manifest.digest,
            sizes=sizes,
        )

    async def write(transaction: Connection, roster: Roster) -> tuple[int, BaseModel]:
        return 201, _document(await roster_queries.record(transaction, caller, roster))

    return located(await run_once(request, caller, body, prepare, write), request.scope["path"])


@router.get(
    "", operation_id="list_rosters", responses=problem_responses(422), dependencies=[requires(Scope.READ)]
)
async def list_rosters(
    request: Request, name: str, after: After = None, limit: Limit = 100
) -> Page[RosterDocument]:
    """List the rosters of an index, the newest first."""
    service: AppState = request.app.state.service
    (last,) = place_of(after, tuple[Number]) or (None,)
    async with service.database.read() as reading:
        found = await roster_queries.page(reading, service.own_name(name), last, limit + 1)
    shown, following = cut(found, limit, lambda each: (each.sequence,))
    return Page[RosterDocument].of([_document(each) for each in shown], following)


def _document(record: RosterRecord) -> RosterDocument:
    roster = record.roster
    return RosterDocument(
        index=roster.index,
        version=roster.version,
        manifest=roster.manifest,
        recorded_by=record.person,
        recorded_at=record.at,
        owners=len(roster.sizes),
        rows=sum(roster.sizes.values()),
    )
