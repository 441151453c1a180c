"""Errors as RFC 9457 problem documents: one table, one shape, never any of the input."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import Scope

from byline import errors
from byline.api.validation import reason

log = structlog.get_logger("service.problems")
MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """RFC 9457 problem document: every failure has this shape."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """Stable name of the kind of problem, for programs: `urn:byline:problem:invalid-input`."""
    title: str
    """The kind of problem, for people."""
    status: int
    """The HTTP status."""
    detail: str
    """What was expected, what came (types, shapes, lengths; never content), and what to do."""
    request_id: str | None = None
    """Finds the request in the service's log."""


@dataclass(frozen=True)
class Kind:
    """One row of the table."""

    status: int
    name: str
    title: str
    retry: bool = False


WRONG_TASK = Kind(500, "wrong-task", "The index's Task is wrong, on the server's side")

TABLE: tuple[tuple[type[errors.BylineError], Kind], ...] = (
    (errors.InputTooLarge, Kind(413, "too-large", "The request is too large")),
    (errors.InvalidTask, WRONG_TASK),
    (errors.InvalidRecipe, WRONG_TASK),
    (errors.UnsupportedModel, WRONG_TASK),
    (errors.ReusedKey, Kind(422, "idempotency-mismatch", "The idempotency key belongs to another request")),
    (errors.NotPayable, Kind(422, "not-payable", "Nothing can be paid for this")),
    (errors.InvalidInput, Kind(422, "invalid-input", "The request cannot be understood")),
    (errors.NonFiniteGradient, Kind(422, "non-finite", "The query has no finite gradient")),
    (errors.NotFound, Kind(404, "not-found", "There is no such thing")),
    (
        errors.Overloaded,
        Kind(503, "overloaded", "There is no room for this request now", retry=True),
    ),
    (errors.UnusableIndex, Kind(503, "unusable-index", "The index cannot be used", retry=True)),
    (errors.DeadlineExceeded, Kind(504, "deadline", "The answer was not ready in time")),
    (errors.Unauthorized, Kind(401, "unauthorized", "A valid key is needed")),
    (errors.Forbidden, Kind(403, "forbidden", "The key does not allow this")),
    (errors.InProgress, Kind(409, "in-progress", "The first request is not finished", retry=True)),
    (errors.StaleAlias, Kind(412, "precondition-failed", "It was changed since it was read")),
    (errors.Conflict, Kind(409, "conflict", "Something else happened first")),
    (errors.QuotaExceeded, Kind(429, "quota", "The key's quota is used up", retry=True)),
    (
        errors.DatabaseUnavailable,
        Kind(503, "database-unavailable", "The database does not answer now", retry=True),
    ),
    (errors.DiskFull, Kind(507, "disk-full", "There is no room on the disk")),
)
"""Errors of Byline to HTTP, the most specific first."""

ASK_THE_OPERATOR = "The operator finds the cause in the service's log under this request's id."
INTERNAL = Kind(500, "internal", "The service made a mistake")


def kind_of(error: Exception) -> Kind:
    """Look an error up in the table."""
    for error_type, kind in TABLE:
        if isinstance(error, error_type):
            return kind
    return INTERNAL


def problem(kind: Kind, detail: str, request_id: str | None = None) -> Problem:
    """Write a problem document."""
    return Problem(
        type=f"urn:byline:problem:{kind.name}",
        title=kind.title,
        status=kind.status,
        detail=detail,
        request_id=request_id,
    )


def problem_response(
    kind: Kind, detail: str, *, request_id: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    """Answer with a problem document."""
    return Response(
        problem(kind, detail, request_id).model_dump_json(exclude_none=True),
        status_code=kind.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def internal_error(error: Exception, request_id: str | None) -> Response:
    """Answer an error that nobody expected; the log alone says where it was."""
    kind, detail = explained(error)
    return problem_response(kind, detail, request_id=request_id)


def explained(error: Exception) -> tuple[Kind, str]:
    """Say which problem an error is, and log what its document must not tell.

    Args:
        error: Any error.

    Returns:
        The kind and the detail.
    """
    kind = kind_of(error)
    if kind is INTERNAL:
        log.error("mistake", error=type(error).__name__, exc_info=error)
        return kind, ASK_THE_OPERATOR
    if kind is WRONG_TASK:
        log.error("wrong task", exc_info=error)
        if _is_foreign(error):  # words of the Task's own code, which may be of its data
            return kind, f"The Task's own code failed. {ASK_THE_OPERATOR}"
    elif error.__cause__ is not None:  # the Task's code raised it, and may be the one at fault
        log.warning("refused", problem=kind.name, exc_info=error.__cause__)
    return kind, str(error)


def _is_foreign(error: BaseException) -> bool:
    """Whether an error is what Byline made of one of other code."""
    cause: BaseException | None = error
    while cause is not None:
        if not isinstance(cause, errors.BylineError):
            return True
        cause = cause.__cause__
    return False


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare failures of an endpoint for its OpenAPI page."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    retry = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": content,
            **({"headers": retry} if status in {409, 429, 503} else {}),
        }
        for status in statuses
    }


def text_response(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    """Declare an answer that is text and not JSON, for an endpoint's OpenAPI page."""
    return {200: {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}}


def install(app: FastAPI) -> None:
    """Answer what a caller can cause with a problem document; `RequestLog` answers the rest."""
    app.add_exception_handler(errors.BylineError, _byline_error)
    app.add_exception_handler(RequestValidationError, _invalid_parameters)
    app.add_exception_handler(HTTPException, _http_error)


class Failures:
    """Answers errors of the table.

    Args:
        retry_after: Seconds after which there should be room again.
    """

    def __init__(self, retry_after: Callable[[], int]) -> None:
        self.retry_after = retry_after

    def response(self, error: Exception, scope: Scope) -> Response:
        """Write the problem document of an error.

        Args:
            error: What was raised.
            scope: The request's.
        """
        kind, detail = explained(error)
        return problem_response(
            kind, detail, request_id=_request_id(scope), headers=self._headers(error, kind)
        )

    def _headers(self, error: Exception, kind: Kind) -> dict[str, str]:
        headers = {"WWW-Authenticate": "Bearer"} if kind.status == 401 else {}
        if kind.retry:
            own = error.retry_after if isinstance(error, errors.QuotaExceeded) else self.retry_after()
            headers["Retry-After"] = str(own)
        return headers


async def _byline_error(request: Request, error: Exception) -> Response:
    failures: Failures = request.app.state.service.failures
    return failures.response(error, request.scope)


async def _invalid_parameters(request: Request, error: Exception) -> Response:
    """Path and query parameters."""
    assert isinstance(error, RequestValidationError)
    kind = kind_of(errors.InvalidQuery())
    reasons = [_refused_parameter(each) for each in error.errors()[:5]]
    return problem_response(kind, "; ".join(reasons), request_id=_request_id(request.scope))


def _refused_parameter(detail: dict[str, Any]) -> str:
    """Name a parameter, unless the client made the name up, and what was expected of it."""
    *place, last = [str(part) for part in detail["loc"]]
    if detail["type"] == "extra_forbidden":
        return f"{'.'.join([*place, '*'])}: unknown parameter"
    return f"{'.'.join([*place, last])}: {reason(detail)}"


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    kind = Kind(status.value, status.phrase.lower().replace(" ", "-"), status.phrase)
    detail = error.detail if error.detail != status.phrase else status.description or status.phrase
    headers = dict(error.headers) if error.headers else None
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (allowed := _allowed(request)):
        headers = {"Allow": ", ".join(allowed)}
    return problem_response(kind, detail, request_id=_request_id(request.scope), headers=headers)


def _allowed(request: Request) -> list[str]:
    """Every method of an address: Starlette names those of the first route alone."""
    path, found = request.scope["path"], set[str]()
    for route in iter_route_contexts(request.app.routes):
        pattern = compile_path(str(route.path))[0]
        if pattern.match(path):
            found |= set(getattr(route, "methods", None) or ())
    return sorted(found)


def _request_id(scope: Scope) -> str | None:
    found: str | None = scope.get("state", {}).get("request_id")
    return found
