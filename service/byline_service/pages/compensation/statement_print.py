"""The print view and the PDF file of a statement: operations of the API that answer with HTML and PDF."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from byline.errors import InvalidInput
from byline_service.api.statements import Owner, Reading, read_for
from byline_service.http.problems import problem_responses, text_response
from byline_service.ledger.statement_documents import COLUMNS
from byline_service.pages.compensation.statement_pdf import MOST_LINES, Letterhead, statement_pdf
from byline_service.pages.rendering import page
from byline_service.state import AppState

router = APIRouter(prefix="/v1/statements", tags=["Compensation"])
PDF = "application/pdf"
PDF_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {PDF: {"schema": {"type": "string", "format": "binary"}}}}
}


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


@router.get(
    "/{run}/pdf",
    operation_id="get_statement_pdf",
    response_class=Response,
    responses=PDF_ANSWER | problem_responses(404, 422),
)
async def get_pdf(request: Request, caller: Reading, run: str, owner: Owner = None) -> Response:
    """Read a statement as a PDF file on the letterhead of the settings. With `owner` it is addressed to the owner."""
    statement = await read_for(request, caller, run, owner)
    if len(statement.lines) > MOST_LINES:
        raise InvalidInput(
            f"expected a statement of at most {MOST_LINES} lines as a PDF file, this one has more: name an owner"
        )
    service: AppState = request.app.state.service
    letterhead = Letterhead(
        lines=[line for line in service.settings.letterhead.splitlines() if line.strip()],
        fonts=service.settings.statement_fonts,
    )
    written = await asyncio.to_thread(statement_pdf, statement, letterhead, owner)
    headers = {
        "Content-Disposition": f'attachment; filename="statement-{statement.id}.pdf"',
        "Cache-Control": "no-store",
    }
    return Response(written, media_type=PDF, headers=headers)
