"""Authentication of requests: by a bearer key, or by a browser's session."""

from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as RequestScope

from byline.errors import BylineError, Forbidden, Unauthorized
from byline_service.accounts.key_cache import KeyCache
from byline_service.accounts.key_queries import StoredKey
from byline_service.accounts.keys import NO_KEY
from byline_service.accounts.permissions import is_public
from byline_service.accounts.quotas import quota_headers
from byline_service.accounts.sessions import COOKIE
from byline_service.http.problems import Failures

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Authentication:
    """Refuses requests without a valid key, except those of public paths.

    Args:
        app: The wrapped application.
        accounts: The keys.
        failures: Writes problem documents.
    """

    def __init__(self, app: ASGIApp, accounts: KeyCache, failures: Failures) -> None:
        self._app = app
        self._accounts = accounts
        self._failures = failures

    async def __call__(self, scope: RequestScope, receive: Receive, send: Send) -> None:
        """Pass a request on with its caller in `state.caller`."""
        if scope["type"] == "lifespan" or (scope["type"] == "http" and is_public(scope["path"])):
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # the service has no WebSockets
        try:
            key = await authenticate(scope, self._accounts)
        except Unauthorized as error:
            if _is_page(scope):
                await RedirectResponse(login_address(scope), status_code=303)(scope, receive, send)
                return
            await self._failures.response(error, scope)(scope, receive, send)
            return
        except BylineError as error:
            await self._failures.response(error, scope)(scope, receive, send)
            return
        scope["state"]["key"] = key
        scope["state"]["caller"] = key.caller

        async def send_with_quotas(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(quota_headers(scope["state"].get("windows", [])))
            await send(message)

        await self._app(scope, receive, send_with_quotas)


async def authenticate(scope: RequestScope, accounts: KeyCache) -> StoredKey:
    """Find the key of a request.

    Args:
        scope: The ASGI scope of the request.
        accounts: The keys.

    Returns:
        The key.

    Raises:
        Unauthorized: The request has no valid key.
        Forbidden: Another site made the browser send the request.
    """
    headers = Headers(scope=scope)
    given = headers.get("authorization")
    if given is not None:
        kind, _, text = given.partition(" ")
        if kind.lower() != "bearer":
            raise Unauthorized(NO_KEY)
        return await accounts.by_key(text.strip())
    cookie = accounts.cookies.read(COOKIE, scope)
    if cookie is None:
        raise Unauthorized(NO_KEY)
    if scope["method"] not in SAFE:
        require_same_origin(scope)
    return await accounts.by_session(cookie)


def require_same_origin(scope: RequestScope) -> None:
    """Refuse a change that another site made the browser send.

    Raises:
        Forbidden: The browser names another origin, or none.
    """
    headers = Headers(scope=scope)
    site = headers.get("sec-fetch-site")
    if site is not None:
        same = site == "same-origin"
    else:
        same = headers.get("origin", "").partition("://")[2] == headers.get("host")
    if not same:
        raise Forbidden("expected a request from this service's own pages, got one from another origin")


def login_address(scope: RequestScope) -> str:
    """Return the address of the login page, which leads back to the request."""
    query = scope["query_string"].decode("latin-1")
    return f"/login?next={quote(scope['path'] + (f'?{query}' if query else ''), safe='')}"


def _is_page(scope: RequestScope) -> bool:
    wanted = Headers(scope=scope).get("accept", "")
    return (
        scope["method"] in {"GET", "HEAD"} and "text/html" in wanted and not scope["path"].startswith("/v1")
    )
