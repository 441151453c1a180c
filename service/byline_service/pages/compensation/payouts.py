"""The page of payouts: prepared, approved and posted as runs, then confirmed by the bank's statement."""

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from byline.api.accounts import Scope
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.api import payouts
from byline_service.http.pagination import After
from byline_service.pages.compensation.choice import PolicyName, choose
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page

router = APIRouter(prefix="/compensation", include_in_schema=False, route_class=PageRoute)
LISTED = 20


@router.get("/payouts")
async def payouts_page(
    request: Request,
    caller: Annotated[Caller, requires(Scope.READ)],
    policy: PolicyName = None,
    after: After = None,
) -> Response:
    """Show the payouts, the newest first."""
    choice = await choose(request, caller, policy)
    found = await payouts.list_payouts(request, after, LISTED)
    return page(
        request,
        "payouts.html",
        here="compensation",
        choice=choice,
        payouts=found.data,
        next=found.next,
        first=after is None,
    )
