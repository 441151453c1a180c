"""Refusal of attribution requests while the service is full, before any other middleware.

A refusal takes the event loop, and so the interpreter's lock, from the compute thread. At several times the capacity most
requests are refused, and the cost of a refusal decides how much is still answered. So the problem document is prepared
once, and the log has one line a second.
"""

import asyncio
import re
import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from byline.errors import Overloaded
from byline_service.attributions.admission import Admission
from byline_service.http.middleware import new_request_id, raw_security_headers
from byline_service.http.problems import MEDIA_TYPE, Failures, kind_of, problem
from byline_service.observability.metrics import Metrics

log = structlog.get_logger("service.overload")
LOG_SECONDS = 1.0
"""Seconds between two log lines about refusals."""
match_question_path = re.compile(r"^/v1/indexes/([^/]+)/(attributions|shares)$").match
"""Matches the paths of attribution requests: index and kind."""


class OverloadMiddleware:
    """Refuses attribution requests while the service is full.

    Args:
        app: The wrapped application.
        admission: The limits.
        failures: Estimates `Retry-After`.
        metrics: The counters of requests.
    """

    def __init__(self, app: ASGIApp, admission: Admission, failures: Failures, metrics: Metrics) -> None:
        self._app = app
        self._admission = admission
        self._failures = failures
        self._metrics = metrics
        self._refused = 0
        self._kind = kind_of(Overloaded())
        self._headers = [(b"content-type", MEDIA_TYPE.encode()), *raw_security_headers(())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless it asks for an attribution and the service is full."""
        if scope["type"] == "http" and scope["method"] == "POST" and self._admission.full:
            asked = match_question_path(scope["path"])
            if asked is not None:
                await self._refuse(asked[2], send)
                return
        await self._app(scope, receive, send)

    async def _refuse(self, kind: str, send: Send) -> None:
        begun, request_id = time.perf_counter(), new_request_id()
        refusal = problem(self._kind, self._admission.no_place, request_id)
        body = refusal.model_dump_json().encode()
        own = [
            (b"content-length", str(len(body)).encode()),
            (b"retry-after", str(self._failures.retry_after()).encode()),
            (b"x-request-id", request_id.encode()),
        ]
        start: Message = {
            "type": "http.response.start",
            "status": self._kind.status,
            "headers": own + self._headers,
        }
        await send(start)
        await send({"type": "http.response.body", "body": body})
        self._metrics.count_request(
            "POST", f"/v1/indexes/{{name}}/{kind}", self._kind.status, time.perf_counter() - begun
        )
        self._note()

    def _note(self) -> None:
        if not self._refused:
            asyncio.get_running_loop().call_later(LOG_SECONDS, self._log)
        self._refused += 1

    def _log(self) -> None:
        log.warning("requests refused", status=self._kind.status, requests=self._refused)
        self._refused = 0
