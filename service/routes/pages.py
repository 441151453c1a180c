"""Pages for people: asking, and the API's documentation. All they load comes from this server."""

from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope as RequestScope

from service.access.guard import requires
from service.access.scopes import Scope
from service.pages.rendering import page
from service.reference import reference
from service.served import Service

router = APIRouter(include_in_schema=False)


class _Files(StaticFiles):
    """Small files, whole: whoever asks for a range of one gets all of it, as RFC 9110 allows."""

    async def get_response(self, path: str, scope: RequestScope) -> Response:
        """Answer with a file; a broken range would be refused with other than a problem document."""
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"range"]
        return await super().get_response(path, scope)


def mount_static(app: FastAPI) -> None:
    """Serve the pages' scripts and styles."""
    app.mount("/static", _Files(directory=Path(__file__).parent.parent / "static"), name="static")


@router.get("/", dependencies=[requires(Scope.READ)])
async def ask_page(request: Request) -> HTMLResponse:
    """Pick an index, type a query, see who made the model predict it."""
    service: Service = request.app.state.service
    return page(
        request,
        "ask.html",
        here="ask",
        indexes=sorted(service.attributors),
        max_k=service.settings.max_k,
        may_book=False,
    )


@router.get("/login")
async def login_page(request: Request) -> HTMLResponse:
    """Where a person shows a key."""
    return page(request, "login.html", here="login")


@router.get("/docs")
async def docs_page(request: Request) -> HTMLResponse:
    """The API, endpoint by endpoint, from its OpenAPI document."""
    return page(request, "docs.html", here="docs", **reference(request.app.openapi()))
