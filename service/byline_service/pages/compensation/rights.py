"""The page of an index's rights table: the parties that share in an owner's amounts."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from byline.api.accounts import Scope
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.compensation.rights import RightsTable
from byline_service.compensation.rights_csv import COLUMNS
from byline_service.ledger import rights_queries
from byline_service.pages.compensation.index_names import served_indexes
from byline_service.pages.csv import csv_response
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page
from byline_service.state import AppState

router = APIRouter(prefix="/compensation", include_in_schema=False, route_class=PageRoute)
LISTED = 100
Reading = Annotated[Caller, requires(Scope.READ)]
IndexName = Annotated[str | None, Query(max_length=64)]
First = Annotated[int, Query(ge=0, le=10**6, alias="from")]


@router.get("/rights")
async def rights_page(
    request: Request, caller: Reading, index: IndexName = None, start: First = 0
) -> Response:
    """Show the newest revision of an index's rights table, by owner."""
    del caller
    indexes = served_indexes(request)
    name = index or next(iter(indexes), None)
    table = None if name is None else await _table(request, name)
    rows = table.rows if table else ()
    return page(
        request,
        "rights.html",
        here="compensation",
        indexes=indexes,
        index=name,
        table=table,
        rows=rows[start : start + LISTED],
        start=start,
        next=start + LISTED if start + LISTED < len(rows) else None,
        columns=COLUMNS,
    )


@router.get("/rights.csv")
async def rights_csv(request: Request, caller: Reading, index: IndexName = None) -> Response:
    """Export the newest revision of an index's rights table."""
    del caller
    table = await _table(request, index or "")
    rows = (
        [(row.owner, row.right, row.party, row.share, row.since, row.until) for row in table.rows]
        if table
        else []
    )
    return csv_response(request, "rights", COLUMNS, rows)


async def _table(request: Request, name: str) -> RightsTable | None:
    """Return the newest revision. None if the index has no table.

    Raises:
        NotFound: There is no such index.
    """
    service: AppState = request.app.state.service
    index = service.index_of(name)
    async with service.database.read() as reading:
        return await rights_queries.newest(reading, index)
