"""The print view of a statement: an operation of the API that answers with HTML."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from byline_service.api.statements import Owner, Reading, read_for
from byline_service.http.problems import problem_responses, text_response
from byline_service.ledger.statement_documents import COLUMNS
from byline_service.pages.rendering import page

router = APIRouter(prefix="/v1/statements", tags=["Compensation"])


@router.get(
    "/{run}/print",
    operation_id="print_statement",
    response_class=HTMLResponse,
    responses=text_response("text/html", "The page") | problem_responses(404, 422),
)
async def get_print(request: Request, caller: Reading, run: str, owner: Owner = None) -> HTMLResponse:
    """Read a statement as a page that can be printed."""
    statement = await read_for(request, caller, run, owner)
    return page(request, "statement.html", here=None, statement=statement, columns=COLUMNS)
