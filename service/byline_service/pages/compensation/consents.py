"""The page of consents: whether works may be used, from which time, and by which source."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from byline.api.accounts import Scope
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.api import consents
from byline_service.http.pagination import After
from byline_service.pages.compensation.index_names import served_indexes
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page

router = APIRouter(prefix="/compensation", include_in_schema=False, route_class=PageRoute)
LISTED = 50


@router.get("/consents")
async def consents_page(
    request: Request,
    caller: Annotated[Caller, requires(Scope.READ)],
    index: Annotated[str | None, Query(max_length=64)] = None,
    after: After = None,
) -> Response:
    """Show the consents, the newest first."""
    del caller
    found = await consents.list_consents(request, after, LISTED, index or None)
    return page(
        request,
        "consents.html",
        here="compensation",
        consents=found.data,
        next=found.next,
        first=after is None,
        index=index or "",
        indexes=served_indexes(request),
    )
