"""Parties: the people and companies behind owners' labels. A change is another revision."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.page import Page
from byline.api.parties import PartyBody, PartyDetails, PartyDocument
from byline.errors import NotFound
from byline_service.accounts.permissions import caller_of, requires
from byline_service.accounts.scopes import Caller
from byline_service.compensation.parties import masked
from byline_service.compensation.timestamps import timestamp_text
from byline_service.http.bodies import json_body, request_body
from byline_service.http.locations import location
from byline_service.http.pagination import After, Limit, Text, cut, place_of
from byline_service.http.problems import problem_responses
from byline_service.ledger import party_queries, party_records
from byline_service.ledger.party_queries import PartyRow
from byline_service.state import AppState

router = APIRouter(prefix="/v1/parties", tags=["Compensation"])
PartyId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="Id of a party")]
Administrator = Annotated[Caller, requires(Scope.ADMIN)]
NARROWED = [requires(Scope.READ, owner_scoped=True)]
"""Keys that see some owners only are shown the parties of these owners."""


@router.post(
    "",
    operation_id="record_party",
    status_code=201,
    responses=problem_responses(409, 413, 415, 422, 504, 507),
    openapi_extra=request_body(PartyBody),
)
async def record_party(request: Request, response: Response, caller: Administrator) -> PartyDocument:
    """Record a party, or a revision of it. The same body again changes nothing."""
    body, _ = await json_body(request, PartyBody)
    service: AppState = request.app.state.service
    async with service.database.begin() as transaction:
        found = await party_records.record_party(transaction, caller, body)
    response.headers["Location"] = location("/v1/parties", found.party.id)
    return _document(found, caller)


@router.get("", operation_id="list_parties", responses=problem_responses(422), dependencies=NARROWED)
async def list_parties(
    request: Request,
    after: After = None,
    limit: Limit = 100,
    owner: Annotated[
        str | None, Query(max_length=1000, description="Name or alias of the only party")
    ] = None,
) -> Page[PartyDocument]:
    """List the parties by name."""
    service: AppState = request.app.state.service
    caller, place = caller_of(request), place_of(after, tuple[Text])
    if owner is not None:
        caller.require_owner(owner)
    owners = caller.owners if owner is None else {owner}
    async with service.database.read() as reading:
        found = await party_queries.page(reading, owners, place[0] if place else None, limit + 1)
    shown, following = cut(found, limit, lambda each: (each.party.name,))
    return Page[PartyDocument].of([_document(each, caller) for each in shown], following)


@router.get(
    "/{party}", operation_id="get_party", responses=problem_responses(404, 422), dependencies=NARROWED
)
async def get_party(request: Request, party: PartyId) -> PartyDocument:
    """Read the newest revision of a party."""
    service: AppState = request.app.state.service
    caller = caller_of(request)
    async with service.database.read() as reading:
        found = await party_queries.find(reading, party)
    if not any(caller.sees(label) for label in found.party.labels):
        raise NotFound("expected the id of a party that this key sees, got another one")
    return _document(found, caller)


@router.delete(
    "/{party}/details",
    operation_id="erase_party_details",
    status_code=204,
    responses=problem_responses(404, 422, 507),
)
async def erase_party_details(request: Request, caller: Administrator, party: PartyId) -> Response:
    """Delete the private details of a party for good. Its name, identifiers and payments stay."""
    service: AppState = request.app.state.service
    async with service.database.begin() as transaction:
        await party_records.erase_details(transaction, caller, party)
    return Response(status_code=204)


def _document(row: PartyRow, caller: Caller) -> PartyDocument:
    party = row.party
    return PartyDocument(
        id=party.id,
        name=party.name,
        revision=party.revision,
        aliases=list(party.aliases),
        identifiers=party.identifiers,
        details=None if row.details is None else _shown(row.details, caller),
        recorded_by=row.recorded_by,
        recorded_at=timestamp_text(row.recorded_at),
    )


def _shown(details: PartyDetails, caller: Caller) -> PartyDetails:
    """Narrow private details: an account in full and others' contacts are for administrators."""
    if caller.may(Scope.ADMIN):
        return details
    shown = details.model_copy(update={"iban": masked(details.iban)})
    return shown if caller.owners is not None else shown.model_copy(update={"contact": None})
