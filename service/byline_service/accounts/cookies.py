"""Cookies of browsers: for this host alone, unreadable for scripts, unsent by other sites.

Over https a cookie's name has the prefix `__Host-`: browsers then take it from this host alone, over https, for every
path. Over plain http they refuse the prefix, except some of them on loopback, so that it has its plain name there.
"""

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Scope as RequestScope


class Cookies:
    """Reads and writes cookies.

    Args:
        secure: Whether browsers reach the service by https, though requests arrive by http.
    """

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure

    def read(self, name: str, scope: RequestScope) -> str | None:
        """Return the value of a request's cookie. None if it has none, or one of the other name.

        Args:
            name: Name of the cookie without a prefix.
            scope: The ASGI scope of the request.
        """
        return HTTPConnection(scope).cookies.get(self._named(name, scope))

    def write(self, response: Response, name: str, value: str, seconds: int, scope: RequestScope) -> None:
        """Set a cookie.

        Args:
            response: The answer.
            name: Name of the cookie without a prefix.
            value: Value of the cookie.
            seconds: Seconds for which the browser keeps it. 0 deletes it.
            scope: The ASGI scope of the request.
        """
        response.set_cookie(
            self._named(name, scope),
            value,
            max_age=seconds,
            httponly=True,
            samesite="strict",
            secure=self._is_secure(scope),
        )

    def _named(self, name: str, scope: RequestScope) -> str:
        return f"__Host-{name}" if self._is_secure(scope) else name

    def _is_secure(self, scope: RequestScope) -> bool:
        return self._secure or scope.get("scheme") == "https"
