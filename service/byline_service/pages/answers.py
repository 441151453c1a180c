"""The page of a recorded answer."""

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from byline.api.accounts import Scope
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.api.answers import AnswerId, get_answer
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page
from byline_service.state import AppState

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/answers/{answer_id}")
async def answer_page(
    request: Request, caller: Annotated[Caller, requires(Scope.READ)], answer_id: AnswerId
) -> HTMLResponse:
    """Show a recorded answer as it was given."""
    service: AppState = request.app.state.service
    recorded = await get_answer(request, caller, answer_id)
    served = service.versions.served.get(recorded.index)
    current = None if served is None else served.attributor.index.version
    return page(request, "answer.html", here="ask", recorded=recorded, current=current)
