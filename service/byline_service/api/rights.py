"""Rights tables: the parties that share in an owner's amounts. A change is another revision of the whole table."""

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.rights import RightsBody, RightsDocument
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.compensation.rights import RightsTable
from byline_service.compensation.rights_csv import write_rights
from byline_service.http.bodies import json_body, request_body
from byline_service.http.locations import location
from byline_service.http.problems import problem_responses
from byline_service.ledger import rights_queries
from byline_service.state import AppState

router = APIRouter(prefix="/v1/indexes/{name}/rights", tags=["Compensation"])
Administrator = Annotated[Caller, requires(Scope.ADMIN)]


@router.post(
    "",
    operation_id="revise_rights",
    status_code=201,
    responses=problem_responses(404, 413, 415, 422, 504, 507),
    openapi_extra=request_body(RightsBody),
)
async def revise_rights(
    request: Request, response: Response, caller: Administrator, name: str
) -> RightsDocument:
    """Add a revision of the index's rights table. The same rows again change nothing.

    A right whose rows claim more than 1,000,000 millionths at one time is refused, with the numbers of the lines.
    """
    body, _ = await json_body(request, RightsBody)
    service: AppState = request.app.state.service
    index = service.index_of(name)
    async with service.database.begin() as transaction:
        table = await rights_queries.revise_rights(transaction, caller, index, body.csv)
    response.headers["Location"] = location(request.scope["path"])
    return _document(table)


@router.get(
    "", operation_id="get_rights", responses=problem_responses(404, 422), dependencies=[requires(Scope.READ)]
)
async def get_rights(request: Request, name: str) -> RightsDocument:
    """Read the newest revision of the index's rights table."""
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        return _document(await rights_queries.find(reading, service.index_of(name)))


def _document(table: RightsTable) -> RightsDocument:
    return RightsDocument(
        index=table.index,
        revision=table.revision,
        rows=len(table.rows),
        sha256=table.sha256,
        csv=write_rights(table.rows),
    )
