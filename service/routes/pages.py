"""Pages for people: asking, and the API's documentation. All they load comes from this server."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service.reference import reference
from service.served import Service

router = APIRouter(include_in_schema=False)


def _with_code(text: str) -> Markup:
    """Set what stands in backticks as code."""
    parts = [escape(part) for part in text.split("`")]
    coded = [Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts)]
    return Markup().join(coded)


_TEMPLATES = Environment(
    loader=PackageLoader("service"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_TEMPLATES.filters["code"] = _with_code


class _Files(StaticFiles):
    """Small files, whole: whoever asks for a range of one gets all of it, as RFC 9110 allows."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file; a broken range would be refused with other than a problem document."""
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"range"]
        return await super().get_response(path, scope)


def mount_static(app: FastAPI) -> None:
    """Serve the pages' scripts and styles."""
    app.mount("/static", _Files(directory=Path(__file__).parent.parent / "static"), name="static")


def _page(request: Request, template: str, **values: Any) -> HTMLResponse:
    written = _TEMPLATES.get_template(template).render(version=request.app.version, **values)
    return HTMLResponse(written, headers={"Cache-Control": "no-store"})


@router.get("/")
async def ask_page(request: Request) -> HTMLResponse:
    """Pick an index, type a query, see who made the model predict it."""
    service: Service = request.app.state.service
    return _page(
        request,
        "ask.html",
        here="ask",
        indexes=sorted(service.attributors),
        max_k=service.settings.max_k,
    )


@router.get("/docs")
async def docs_page(request: Request) -> HTMLResponse:
    """The API, endpoint by endpoint, from its OpenAPI document."""
    return _page(request, "docs.html", here="docs", **reference(request.app.openapi()))
