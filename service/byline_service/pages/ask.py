"""The query page, the login page and the API reference. All scripts and styles come from this server."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope as RequestScope

from byline.api.accounts import Scope
from byline.api.terms import MOST_REPLICATES
from byline.errors import BylineError
from byline_service.accounts import login_tokens
from byline_service.accounts.authentication import authenticate
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.api.reference import reference
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page
from byline_service.state import AppState

router = APIRouter(include_in_schema=False, route_class=PageRoute)


class _Files(StaticFiles):
    """Static files without ranges: a request for a part gets the whole file, as RFC 9110 allows."""

    async def get_response(self, path: str, scope: RequestScope) -> Response:
        """Answer with a file. An invalid range would otherwise be refused without a problem document."""
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"range"]
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"  # stored, and revalidated with each use
        return response


def mount_static(app: FastAPI) -> None:
    """Serve the pages' scripts and styles."""
    app.mount("/static", _Files(directory=Path(__file__).parent.parent / "static"), name="static")


@router.get("/")
async def ask_page(
    request: Request, caller: Annotated[Caller, requires(Scope.READ, owner_scoped=True)]
) -> Response:
    """Show the query page. A key with owners is sent to its statements."""
    service: AppState = request.app.state.service
    if caller.owners is not None:
        return RedirectResponse("/compensation", status_code=303)
    return page(
        request,
        "ask.html",
        here="ask",
        indexes=sorted(service.attributors),
        max_k=service.settings.max_k,
        records=service.settings.answer_days > 0,
        max_replicates=MOST_REPLICATES,
    )


@router.get("/login")
async def login_page(request: Request) -> HTMLResponse:
    """Show the login page, or who is signed in."""
    await _recognize_caller(request)
    if "caller" in request.scope["state"]:
        return page(request, "login.html", here="login", token=None)
    accounts = request.app.state.service.accounts
    token, cookie = login_tokens.new_token(time.time(), accounts.secrets.current)
    shown = page(request, "login.html", here="login", token=token)
    accounts.cookies.write(shown, login_tokens.COOKIE, cookie, login_tokens.SECONDS, request.scope)
    return shown


@router.get("/docs")
async def docs_page(request: Request) -> HTMLResponse:
    """Show the API reference, made from the OpenAPI document."""
    await _recognize_caller(request)
    return page(request, "docs.html", here="docs", **reference(request.app.openapi()))


async def _recognize_caller(request: Request) -> None:
    """Authenticate the caller of a public page, if possible, so that the navigation bar is theirs."""
    service: AppState = request.app.state.service
    with suppress(BylineError):
        request.scope["state"]["caller"] = (await authenticate(request.scope, service.accounts)).caller
