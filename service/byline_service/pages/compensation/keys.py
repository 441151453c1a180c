"""The page of API keys, for admins."""

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from byline.api.accounts import Scope
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.api import keys
from byline_service.http.pagination import After
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page

router = APIRouter(prefix="/compensation", include_in_schema=False, route_class=PageRoute)
LISTED = 100
SCOPES = {
    "query": "ask questions",
    "read": "read amounts, statements and indexes",
    "compensate": "book events and draft runs",
    "approve": "approve, reject and post runs of others",
    "admin": "everything, with keys and policies",
}


@router.get("/keys")
async def keys_page(
    request: Request, caller: Annotated[Caller, requires(Scope.ADMIN)], after: After = None
) -> Response:
    """Show the keys, with the forms to make and revoke them."""
    found = await keys.list_keys(request, caller, after, LISTED)
    shown = sorted(found.data, key=lambda each: (not each.active, each.person, each.name))
    return page(
        request,
        "keys.html",
        here="compensation",
        keys=shown,
        next=found.next,
        first=after is None,
        scopes=SCOPES,
        own=caller.key_id,
    )
