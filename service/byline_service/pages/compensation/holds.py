"""The page of holds and disputes."""

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from byline.api.accounts import Scope
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.api import holds
from byline_service.http.pagination import After
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page

router = APIRouter(prefix="/compensation", include_in_schema=False, route_class=PageRoute)
LISTED = 50


@router.get("/holds")
async def holds_page(
    request: Request, caller: Annotated[Caller, requires(Scope.READ)], after: After = None
) -> Response:
    """Show the holds, the newest first."""
    del caller
    found = await holds.list_holds(request, after, LISTED)
    return page(
        request,
        "holds.html",
        here="compensation",
        holds=found.data,
        next=found.next,
        first=after is None,
    )
