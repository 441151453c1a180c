"""Problem documents of RFC 9457: one table of errors, one shape, and no part of the input."""

from collections.abc import Callable, Sequence
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


class ProblemPart(BaseModel):
    """A wrong part of a request."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    pointer: str | None = None
    """JSON Pointer of the part in the body. Empty for the body as a whole."""
    parameter: str | None = None
    """Name of the parameter of the path, the query or the headers."""
    detail: str
    """Reason: the expected and the given type, form or length, never content."""


class Problem(BaseModel):
    """A problem document of RFC 9457. Every failure has this shape."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """Stable name of the kind of problem, for programs: `urn:byline:problem:invalid-input`."""
    title: str
    """Standard phrase of the HTTP status, for people: `Not Found`."""
    status: int
    """The HTTP status."""
    detail: str
    """The expected and the given types, shapes or lengths, never content, and the next step."""
    request_id: str | None = None
    """Id of the request in the service's log."""
    errors: list[ProblemPart] | None = None
    """Wrong parts of the request, at most five, where the service knows them."""


_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Phrases of RFC 9110 that older versions of Python write differently."""


def title_of(status: int) -> str:
    """Return the standard phrase of an HTTP status."""
    return _TITLES.get(status, HTTPStatus(status).phrase)


@dataclass(frozen=True)
class Kind:
    """One kind of problem: its HTTP status and its stable name."""

    status: int
    name: str
    retry: bool = False
    """Whether the answer has a `Retry-After` header."""

    @property
    def title(self) -> str:
        """Return the standard phrase of the status."""
        return title_of(self.status)


WRONG_TASK = Kind(500, "wrong-task")

TABLE: tuple[tuple[type[errors.BylineError], Kind], ...] = (
    (errors.InputTooLarge, Kind(413, "too-large")),
    (errors.InvalidTask, WRONG_TASK),
    (errors.InvalidRecipe, WRONG_TASK),
    (errors.UnsupportedModel, WRONG_TASK),
    (errors.ReusedKey, Kind(422, "idempotency-mismatch")),
    (errors.NotPayable, Kind(422, "not-payable")),
    (errors.InvalidInput, Kind(422, "invalid-input")),
    (errors.NonFiniteGradient, Kind(422, "non-finite")),
    (errors.NotFound, Kind(404, "not-found")),
    (errors.Overloaded, Kind(503, "overloaded", retry=True)),
    (errors.UnusableIndex, Kind(503, "unusable-index", retry=True)),
    (errors.DeadlineExceeded, Kind(504, "deadline")),
    (errors.Unauthorized, Kind(401, "unauthorized")),
    (errors.Forbidden, Kind(403, "forbidden")),
    (errors.InProgress, Kind(409, "in-progress", retry=True)),
    (errors.StaleAlias, Kind(412, "precondition-failed")),
    (errors.Conflict, Kind(409, "conflict")),
    (errors.QuotaExceeded, Kind(429, "quota", retry=True)),
    (errors.DatabaseUnavailable, Kind(503, "database-unavailable", retry=True)),
    (errors.DiskFull, Kind(507, "disk-full")),
)
"""Byline's errors and their HTTP problems, the most specific first."""

ASK_THE_OPERATOR = "The operator finds the cause in the service's log under this request id."
INTERNAL = Kind(500, "internal")


def kind_of(error: Exception) -> Kind:
    """Return the kind of problem of an error."""
    for error_type, kind in TABLE:
        if isinstance(error, error_type):
            return kind
    return INTERNAL


def problem(
    kind: Kind, detail: str, request_id: str | None = None, parts: Sequence[ProblemPart] = ()
) -> Problem:
    """Write a problem document."""
    return Problem(
        type=f"urn:byline:problem:{kind.name}",
        title=kind.title,
        status=kind.status,
        detail=detail,
        request_id=request_id,
        errors=list(parts) or None,
    )


def problem_response(
    kind: Kind,
    detail: str,
    *,
    request_id: str | None = None,
    headers: dict[str, str] | None = None,
    parts: Sequence[ProblemPart] = (),
) -> Response:
    """Answer with a problem document."""
    return Response(
        problem(kind, detail, request_id, parts).model_dump_json(exclude_none=True),
        status_code=kind.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def internal_error(error: Exception, request_id: str | None) -> Response:
    """Answer an unexpected error. Only the log names where it was raised."""
    kind, detail = describe_error(error)
    return problem_response(kind, detail, request_id=request_id)


def describe_error(error: Exception) -> tuple[Kind, str]:
    """Return the problem of an error, and log the details that its document must not contain.

    Args:
        error: Any error.

    Returns:
        The kind and the detail.
    """
    kind = kind_of(error)
    if kind is INTERNAL:
        log.error("unexpected error", error=type(error).__name__, exc_info=error)
        return kind, ASK_THE_OPERATOR
    if kind is WRONG_TASK:
        log.error("task failed", exc_info=error)
        if _is_foreign(error):  # the message is the Task's own and may hold its data
            return kind, f"The Task's code raised an error. {ASK_THE_OPERATOR}"
    elif error.__cause__ is not None:  # the Task's code may be at fault
        log.warning("request refused", problem=kind.name, exc_info=error.__cause__)
    return kind, str(error)


def parts_of(error: Exception) -> list[ProblemPart]:
    """Return the wrong parts of the body that an error names."""
    faults = error.faults if isinstance(error, errors.InvalidQuery) else ()
    return [ProblemPart(pointer=each.pointer, detail=each.detail) for each in faults]


def _is_foreign(error: BaseException) -> bool:
    """Return whether an error was caused by one that is not Byline's."""
    cause: BaseException | None = error
    while cause is not None:
        if not isinstance(cause, errors.BylineError):
            return True
        cause = cause.__cause__
    return False


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare the failures of an endpoint for the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    retry = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return {
        status: {
            "description": title_of(status),
            "content": content,
            **({"headers": retry} if status in {409, 429, 503} else {}),
        }
        for status in statuses
    }


def text_response(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    """Declare an answer of a text media type for the OpenAPI document."""
    return {200: {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}}


def install(app: FastAPI) -> None:
    """Answer every error that a caller can cause with a problem document. `RequestLog` answers the rest."""
    app.add_exception_handler(errors.BylineError, _byline_error)
    app.add_exception_handler(RequestValidationError, _invalid_parameters)
    app.add_exception_handler(HTTPException, _http_error)


class Failures:
    """Answers errors with problem documents.

    Args:
        retry_after: Estimates the seconds until there is room for another request.
    """

    def __init__(self, retry_after: Callable[[], int]) -> None:
        self.retry_after = retry_after

    def response(self, error: Exception, scope: Scope) -> Response:
        """Write the problem document of an error.

        Args:
            error: The error that was raised.
            scope: The ASGI scope of the request.
        """
        kind, detail = describe_error(error)
        return problem_response(
            kind,
            detail,
            request_id=_request_id(scope),
            headers=self._headers(error, kind),
            parts=parts_of(error),
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
    """Answer a path or query parameter that is not valid."""
    assert isinstance(error, RequestValidationError)
    kind = kind_of(errors.InvalidQuery())
    details = error.errors()[:5]
    reasons = [_refused_parameter(each) for each in details]
    parts = [
        ProblemPart(parameter=str(each["loc"][-1]), detail=reason(each))
        for each in details
        if each["type"] != "extra_forbidden"
    ]
    return problem_response(kind, "; ".join(reasons), request_id=_request_id(request.scope), parts=parts)


def _refused_parameter(detail: dict[str, Any]) -> str:
    """Describe a parameter that is not valid. A name that the client invented is not repeated."""
    *place, last = [str(part) for part in detail["loc"]]
    if detail["type"] == "extra_forbidden":
        return f"{'.'.join([*place, '*'])}: unknown parameter"
    return f"{'.'.join([*place, last])}: {reason(detail)}"


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    kind = Kind(status.value, title_of(status).lower().replace(" ", "-"))
    detail = error.detail if error.detail != status.phrase else status.description or status.phrase
    headers = dict(error.headers) if error.headers else None
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (allowed := _allowed(request)):
        headers = {"Allow": ", ".join(allowed)}
    return problem_response(kind, detail, request_id=_request_id(request.scope), headers=headers)


def _allowed(request: Request) -> list[str]:
    """Return every method of an address. Starlette names only those of the first route."""
    path, found = request.scope["path"], set[str]()
    for route in iter_route_contexts(request.app.routes):
        pattern = compile_path(str(route.path))[0]
        if pattern.match(path):
            found |= set(getattr(route, "methods", None) or ())
    return sorted(found)


def _request_id(scope: Scope) -> str | None:
    found: str | None = scope.get("state", {}).get("request_id")
    return found
