"""The page after signing in: what waits for the caller, or the first page that the key opens."""

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from byline.api.accounts import Scope
from byline_service.accounts.scopes import Caller
from byline_service.pages.compensation.choice import Reading
from byline_service.pages.compensation.overview import waiting_runs
from byline_service.pages.errors import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/start")
async def start_page(request: Request, caller: Reading) -> Response:
    """Send the caller on."""
    return RedirectResponse(await _first_page(request, caller), status_code=303)


async def _first_page(request: Request, caller: Caller) -> str:
    asks = caller.owners is None and caller.may(Scope.QUERY)
    waits = any(each.mine for each in await waiting_runs(request, caller))
    return "/" if asks and not waits else "/compensation"
