"""ASGI middleware: request ids and logs, security headers, allowed hosts, and limits on bodies.

It is pure ASGI, so that no answer is buffered and the disconnect of a client is seen.
"""

import asyncio
import itertools
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from byline.errors import InputTooLarge
from byline_service.http.problems import Kind, internal_error, kind_of, problem_response
from byline_service.observability.metrics import Metrics

log = structlog.get_logger("service.request")

RawHeader = tuple[bytes, bytes]
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer: scripts and styles come from this server only, and no answer is cached."""
_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
_PROCESS = secrets.token_hex(10)
"""Start of every request id, followed by a number. Random bytes for each id would cost a system call each."""
_NUMBERS = itertools.count()


def new_request_id() -> str:
    """Return a new, unique request id."""
    return f"{_PROCESS}{next(_NUMBERS):012x}"


CLIENT_GONE = 499
"""Status of a request whose client disconnected, in the log and the metrics."""
LINGER_SECONDS, LINGER_BYTES = 1.0, 64 << 20
"""Limits on the rest of a refused body that is read before its connection is closed."""
PROBES = frozenset({"/livez", "/readyz"})
"""Paths that orchestrators request by IP address."""


class RequestLog:
    """Gives each request an id, and logs and counts it without its body and query.

    Args:
        app: The wrapped application.
        metrics: The counters of requests.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id
        start, status = time.perf_counter(), 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_headers(message["headers"], request_id)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_named)
            except ClientDisconnect:
                status = status or CLIENT_GONE  # it disconnected in the middle of its body
            except Exception as error:
                # Here and not in Starlette's own handler, which is outside of this middleware and would not be logged.
                response = internal_error(error, request_id)
                if status == 0:
                    await response(scope, receive, send_named)
            finally:
                seconds = time.perf_counter() - start
                route = getattr(scope.get("route"), "path", "unmatched")
                self._metrics.count_request(scope["method"], route, status, seconds)
                log.info(
                    "request",
                    method=scope["method"],
                    route=route,
                    client=client_address(scope),
                    status=status,
                    milliseconds=round(seconds * 1e3, 2),
                    **_asked_by(scope),
                    **_index_of(scope),
                )


def client_address(scope: Scope) -> str | None:
    """Return the address of the client, or of the proxy before it. None without a socket, as in tests."""
    client = scope.get("client")
    return None if client is None else str(client[0])


def _asked_by(scope: Scope) -> dict[str, str]:
    """Return the public id of the key, never the key."""
    caller = scope["state"].get("caller")
    return {} if caller is None else {"key_id": caller.key_id}


def _index_of(scope: Scope) -> dict[str, str]:
    """Return the index in the path if it is served. A client may write anything else into a path, so that is left out."""
    name = scope.get("path_params", {}).get("name")
    served = name is not None and name in scope["app"].state.service.versions.served
    return {"index": name} if served else {}


def _with_headers(given: Iterable[RawHeader], request_id: str) -> list[RawHeader]:
    """Add the request id and the missing security headers to an answer's headers."""
    headers = list(given)
    return [*headers, (b"x-request-id", request_id.encode()), *raw_security_headers(headers)]


def raw_security_headers(given: Iterable[RawHeader]) -> list[RawHeader]:
    """Return the security headers that an answer does not set itself."""
    named = {name for name, _ in given}
    return [header for header in _RAW_HEADERS if header[0] not in named]


class AllowedHosts:
    """Refuses requests for other hosts: a browser can be tricked into sending them (DNS rebinding).

    Args:
        app: The wrapped application.
        hosts: Accepted names. Probes of `/livez` and `/readyz` may use any.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if its host is accepted."""
        if (
            scope["type"] != "http"
            or scope["path"] in PROBES
            or _host_name(Headers(scope=scope)) in self._hosts
        ):
            await self._app(scope, receive, send)
            return
        kind = Kind(421, "misdirected-request")
        refusal = problem_response(
            kind,
            "expected one of the service's allowed hosts in the Host header, got another: set BYLINE_ALLOWED_HOSTS",
            request_id=scope["state"].get("request_id"),
        )
        await refusal(scope, receive, send)


def _host_name(headers: Headers) -> str:
    host = headers.get("host", "").lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


class BodyLimit:
    """Refuses a body that is too large: before it is read, or as soon as the limit is passed.

    Args:
        app: The wrapped application.
        limit: Returns the largest body of a request in bytes.
    """

    def __init__(self, app: ASGIApp, limit: Callable[[Scope], int]) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count the bytes of its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit, received = self._limit(scope), 0
        scope["state"]["body_limit"] = limit
        headers = Headers(scope=scope)
        if "content-length" in headers and "transfer-encoding" in headers:
            await _two_lengths(scope)(scope, receive, send)
            return
        declared = headers.get("content-length", "0")
        if not (declared.isascii() and declared.isdigit()) or len(declared) > 18 or int(declared) > limit:
            await _too_large(limit, scope)(scope, receive, _drained_sender(receive, send))
            return

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise InputTooLarge(_refusal(limit))
            return message

        await self._app(scope, receive_counted, send)


def _drained_sender(receive: Receive, send: Send) -> Send:
    """Send an answer, then read on for a moment: closing a connection with unread bytes would lose the answer."""

    async def send_lingering(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        await send({**message, "more_body": True})
        left = LINGER_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while left > 0:
                    came = await receive()
                    left -= len(came.get("body", b""))
                    if not came.get("more_body"):
                        break
        await send({"type": "http.response.body"})

    return send_lingering


def _refusal(limit: int) -> str:
    return f"expected a body of at most {limit} bytes, got more: send less at a time"


def _two_lengths(scope: Scope) -> ASGIApp:
    """Refuse two lengths: a proxy may have read another body, and the rest could be another client's request."""
    return problem_response(
        Kind(400, "bad-request"),
        "expected a Content-Length or a Transfer-Encoding header, got both: send one of them",
        request_id=scope["state"].get("request_id"),
        headers={"Connection": "close"},
    )


def _too_large(limit: int, scope: Scope) -> ASGIApp:
    error = InputTooLarge(_refusal(limit))
    # The rest of the body is not read, so the connection cannot be reused.
    return problem_response(
        kind_of(error),
        str(error),
        request_id=scope["state"].get("request_id"),
        headers={"Connection": "close"},
    )
