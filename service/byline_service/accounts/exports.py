"""The audit log's lines about exports: files that leave the service, and statements."""

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as RequestScope

from byline.errors import BylineError
from byline_service.accounts import audit
from byline_service.accounts.scopes import Caller
from byline_service.database import Database
from byline_service.http.problems import Failures

_LONGEST = 200
"""Most characters of a subject in the audit log."""


class ExportLog:
    """Writes a line before the first byte of a file or a statement is sent. Without the line, nothing is sent.

    An answer is an export if it is an attachment, or if its endpoint called `mark_export`.

    Args:
        app: The wrapped application.
        database: The database of the audit log.
        failures: Writes problem documents.
    """

    def __init__(self, app: ASGIApp, database: Database, failures: Failures) -> None:
        self._app = app
        self._database = database
        self._failures = failures

    async def __call__(self, scope: RequestScope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = False

        async def send_recorded(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and _is_export(scope, message):
                try:
                    await self._record(scope["state"]["caller"], scope["path"])
                except BylineError as error:
                    refused = True
                    await self._failures.response(error, scope)(scope, receive, send)
            if not refused:
                await send(message)

        await self._app(scope, receive, send_recorded)

    async def _record(self, caller: Caller, path: str) -> None:
        async with self._database.begin() as transaction:
            await audit.record(transaction, caller, "exports.read", path[:_LONGEST])


def mark_export(request: Request) -> None:
    """Mark the answer of a request as an export."""
    request.scope["state"]["export"] = True


def _is_export(scope: RequestScope, message: Message) -> bool:
    if message["status"] != 200 or "caller" not in scope["state"]:
        return False
    given = Headers(raw=message["headers"]).get("content-disposition", "")
    return given.startswith("attachment") or "export" in scope["state"]
