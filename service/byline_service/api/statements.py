"""Statements: who gets what of a run. Keys that see some owners see these owners' lines of posted runs."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.page import Page
from byline.api.statements import RunDocument, StatementDocument
from byline_service.accounts.exports import mark_export
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.api.statement_runs import run_page
from byline_service.http.csv_cells import csv_form
from byline_service.http.pagination import After, Limit, Number, place_of
from byline_service.http.problems import problem_responses, text_response
from byline_service.ledger import statement_queries
from byline_service.ledger.statement_documents import read_statement, statement_csv
from byline_service.state import AppState

router = APIRouter(prefix="/v1/statements", tags=["Compensation"])
Reading = Annotated[Caller, requires(Scope.READ, owner_scoped=True)]
Owner = Annotated[str | None, Query(max_length=1000)]
CSV = "text/csv"


@router.get("", operation_id="list_statements", responses=problem_responses(422))
async def list_statements(
    request: Request,
    caller: Reading,
    after: After = None,
    limit: Limit = 100,
) -> Page[RunDocument]:
    """List the posted runs, the newest first. A key with owners sees the runs with a line of theirs."""
    service: AppState = request.app.state.service
    (last,) = place_of(after, tuple[Number]) or (None,)
    async with service.database.read() as reading:
        found = await statement_queries.posted_page(reading, last, limit + 1, caller.owners)
    return run_page(found, limit, warned=caller.owners is None)


@router.get(
    "/{run}.csv",
    operation_id="get_statement_csv",
    response_class=Response,
    responses=text_response(CSV, "The lines") | problem_responses(404, 422),
)
async def get_csv(request: Request, caller: Reading, run: str, owner: Owner = None) -> Response:
    """Read a statement's lines for a spreadsheet. Amounts are in major units."""
    found = await read_for(request, caller, run, owner)
    headers = {
        "Content-Disposition": f'attachment; filename="statement-{found.id}.csv"',
        "Vary": "Accept-Language",
    }
    form = csv_form(request.headers.get("accept-language"))
    return Response(statement_csv(found, form), media_type=CSV, headers=headers)


@router.get("/{run}", operation_id="get_statement", responses=problem_responses(404, 422))
async def get_statement(
    request: Request, caller: Reading, run: str, owner: Owner = None
) -> StatementDocument:
    """Read a statement: each owner's line, and what they add up to."""
    return await read_for(request, caller, run, owner)


async def read_for(request: Request, caller: Caller, run: str, owner: str | None) -> StatementDocument:
    """Read a statement as a caller may see it. The audit log notes each reading.

    Args:
        request: The request.
        caller: The reader.
        run: The run.
        owner: The only owner whose line is read. None reads all.
    """
    mark_export(request)
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        return await read_statement(reading, caller, run, owner)
