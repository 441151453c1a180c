"""The page of parties: names, identifiers and contacts behind owners' labels."""

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from byline.api.accounts import Scope
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.api import parties
from byline_service.http.pagination import After
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page

router = APIRouter(prefix="/compensation", include_in_schema=False, route_class=PageRoute)
LISTED = 100


@router.get("/parties")
async def parties_page(
    request: Request, caller: Annotated[Caller, requires(Scope.READ)], after: After = None
) -> Response:
    """Show the parties by name."""
    del caller
    found = await parties.list_parties(request, after, LISTED)
    return page(
        request,
        "parties.html",
        here="compensation",
        parties=found.data,
        next=found.next,
        first=after is None,
    )
