"""The page of one owner's line of a run: its events, and the works behind each."""

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from byline.api.accounts import Scope
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.api.statement_works import list_line_events
from byline_service.api.statements import read_for
from byline_service.http.pagination import After
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page

router = APIRouter(prefix="/compensation", include_in_schema=False, route_class=PageRoute)
Reading = Annotated[Caller, requires(Scope.READ, owner_scoped=True)]
LISTED_EVENTS = 20
LINKED = ("http://", "https://")
"""Beginnings of the locations that are links. A Task may name any other, which is text."""


@router.get("/runs/{run}/owners/{owner:path}")
async def line_page(request: Request, caller: Reading, run: str, owner: str, after: After = None) -> Response:
    """Show the works behind an owner's line."""
    events = await list_line_events(request, caller, run, owner, after, LISTED_EVENTS)
    statement = await read_for(request, caller, run, owner)
    return page(
        request,
        "line.html",
        here="compensation",
        statement=statement,
        line=statement.lines[0],
        events=events.data,
        next=events.next,
        first=after is None,
        linked=LINKED,
    )
