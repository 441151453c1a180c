"""The short way of ordinary questions: JSON bodies, which FastAPI's routing and parameters would cost as much as the rest.

What is called, and who may call it, is the same as by the routes; those go on describing it in the OpenAPI document, and
take what does not go this way.
"""

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from byline.errors import BylineError
from byline_service.accounts.permissions import Requirement
from byline_service.accounts.scopes import Scope as Allowed
from byline_service.api.attributions import answer_json, answer_shares
from byline_service.attributions.overload import asked_path
from byline_service.http.bodies import JSON
from byline_service.http.problems import Failures

_JSON = (b"content-type", JSON.encode())
_ANSWERS = {"attributions": answer_json, "shares": answer_shares}


class _Asked:
    """Stands for the route in the log, the metrics and spans."""

    def __init__(self, path: str) -> None:
        self.path = path


_ROUTES = {kind: _Asked(f"/v1/indexes/{{name}}/{kind}") for kind in _ANSWERS}


class Shortcut:
    """Answers questions in JSON; passes everything else on.

    Args:
        app: What is wrapped.
        failures: Writes what is refused.
    """

    def __init__(self, app: ASGIApp, failures: Failures) -> None:
        self._app = app
        self._failures = failures
        self._requirement = Requirement(Allowed.QUERY, owner_scoped=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a question, or pass the request on."""
        asked = asked_path(scope["path"]) if _is_plain(scope) else None
        if asked is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = _ROUTES[asked[2]]
        request = Request(scope, receive)
        begun = False

        async def send_noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._requirement(request)
            response = await _ANSWERS[asked[2]](request, asked[1])
            await response(scope, receive, send_noted)
        except BylineError as error:
            if begun:
                raise
            await self._failures.response(error, scope)(scope, receive, send)


def _is_plain(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "POST"
        and not scope["query_string"]
        and _JSON in scope["headers"]
    )
