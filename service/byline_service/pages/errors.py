"""Failures of pages: the same table as the API's, said on a page."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import Response

from byline.errors import BylineError
from byline_service.http.problems import INTERNAL, WRONG_TASK, kind_of
from byline_service.pages.rendering import page


class PageRoute(APIRoute):
    """A route whose failures are pages too; what nobody expected is left to the log and its problem document."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        handle = super().get_route_handler()

        async def handle_or_say(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError:
                return _said(
                    request, 422, "This address is not understood", "Part of it is not what this page takes."
                )
            except BylineError as error:
                kind = kind_of(error)
                if kind in (INTERNAL, WRONG_TASK):
                    raise
                return _said(request, kind.status, kind.title, str(error))

        return handle_or_say


def _said(request: Request, status: int, title: str, detail: str) -> Response:
    return page(
        request, "error.html", here=None, status=status, title=title, detail=detail[:1].upper() + detail[1:]
    )
