"""Error pages, from the same table of errors as the API's problem documents."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import Response

from byline.errors import BylineError
from byline_service.http.problems import INTERNAL, WRONG_TASK, kind_of, title_of
from byline_service.pages.rendering import page


class PageRoute(APIRoute):
    """A route that answers errors with a page. Unexpected errors are left to the log and its problem document."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler of the route."""
        handle = super().get_route_handler()

        async def handle_with_error_page(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError:
                return _error_page(
                    request, 422, title_of(422), "the address has a parameter that this page does not accept"
                )
            except BylineError as error:
                kind = kind_of(error)
                if kind in (INTERNAL, WRONG_TASK):
                    raise
                return _error_page(request, kind.status, kind.title, str(error))

        return handle_with_error_page


def _error_page(request: Request, status: int, title: str, detail: str) -> Response:
    return page(
        request, "error.html", here=None, status=status, title=title, detail=detail[:1].upper() + detail[1:]
    )
