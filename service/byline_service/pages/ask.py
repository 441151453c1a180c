"""Pages for people: asking, and the API's documentation. All they load comes from this server."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope as RequestScope

from byline.api.accounts import Scope
from byline.errors import BylineError
from byline_service.accounts.authentication import authenticate
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.api.reference import reference
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page
from byline_service.state import AppState

router = APIRouter(include_in_schema=False, route_class=PageRoute)


class _Files(StaticFiles):
    """Small files, whole: whoever asks for a range of one gets all of it, as RFC 9110 allows."""

    async def get_response(self, path: str, scope: RequestScope) -> Response:
        """Answer with a file; a broken range would be refused with other than a problem document."""
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"range"]
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"  # kept, and asked again whether it changed
        return response


def mount_static(app: FastAPI) -> None:
    """Serve the pages' scripts and styles."""
    app.mount("/static", _Files(directory=Path(__file__).parent.parent / "static"), name="static")


@router.get("/")
async def ask_page(
    request: Request, caller: Annotated[Caller, requires(Scope.READ, owner_scoped=True)]
) -> Response:
    """Pick an index, type a query, see who made the model predict it. Keys of owners begin with their statements."""
    service: AppState = request.app.state.service
    if caller.owners is not None:
        return RedirectResponse("/compensation", status_code=303)
    return page(
        request,
        "ask.html",
        here="ask",
        indexes=sorted(service.attributors),
        max_k=service.settings.max_k,
    )


@router.get("/login")
async def login_page(request: Request) -> HTMLResponse:
    """Where a person shows a key."""
    return page(request, "login.html", here="login")


@router.get("/docs")
async def docs_page(request: Request) -> HTMLResponse:
    """The API, endpoint by endpoint, from its OpenAPI document."""
    await _recognise(request)
    return page(request, "docs.html", here="docs", **reference(request.app.openapi()))


async def _recognise(request: Request) -> None:
    """Find out who asks for a public page, so that the bar above it is the one that they know."""
    service: AppState = request.app.state.service
    with suppress(BylineError):
        request.scope["state"]["caller"] = (await authenticate(request.scope, service.accounts)).caller
