"""A full service says so at once: before it asks who it is, reads a body or looks for a route.

A refusal takes the event loop, and so the interpreter's lock, from what computes. At several times the load that can be
answered most requests are refused, and their price decides how much is still answered.
"""

import re
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from byline.errors import Overloaded
from service.admission import Admission
from service.problems import Failures

_ASKED = re.compile(r"^/v1/indexes/[^/]+/(attributions|shares)$")


@dataclass(frozen=True)
class _Asked:
    """Stands for the route in the log and the metrics."""

    path: str


_ROUTES = {kind: _Asked(f"/v1/indexes/{{name}}/{kind}") for kind in ("attributions", "shares")}


class Door:
    """Refuses questions while there is no place inside.

    Args:
        app: What is wrapped.
        admission: Knows whether there is.
        failures: Writes the refusal.
    """

    def __init__(self, app: ASGIApp, admission: Admission, failures: Failures) -> None:
        self._app = app
        self._admission = admission
        self._failures = failures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless it is a question and the service is full."""
        if scope["type"] == "http" and scope["method"] == "POST" and self._admission.full:
            asked = _ASKED.match(scope["path"])
            if asked is not None:
                scope["route"] = _ROUTES[asked[1]]
                error = Overloaded(self._admission.no_place)
                await self._failures.response(error, scope)(scope, receive, send)
                return
        await self._app(scope, receive, send)
