"""The errors of the client, one class for each decision that a caller can take.

```
ClientError                  (a BylineError)
├── Unreachable              no connection, or a lost one: check the address and the network
├── UnexpectedAnswer         not an answer of this release's service: check the proxies between
└── ServiceError             the service refused, with an RFC 9457 problem document
    ├── InvalidRequest       correct the request                                 400, 405, 415, 421, 422
    │   ├── TooLarge         send less at a time                                 413
    │   ├── KeyReused        the idempotency key belongs to another request      422
    │   └── NotPayable       no policy could pay for this event: not booked      422
    ├── NonFinite            the query has no finite gradient                    422
    ├── Unauthorized         send a valid key                                    401
    ├── Forbidden            use a key with another scope                        403
    ├── NotFound             no such index, example or statement                 404
    ├── Conflict             the state has changed: read it again, then decide   409
    │   ├── StaleAlias       the alias was changed since its ETag was read       412
    │   └── InProgress       the first request with this key is still running    409
    ├── QuotaExceeded        wait, or ask for a larger quota                     429
    ├── Unavailable          full, starting, or shutting down: wait              503
    ├── DeadlineExceeded     ask for less, or stream the progress                504
    └── ServiceFault         tell the operator, with the request id              500
        └── DiskFull         the service's disk is full                          507
```

Each class also inherits from the class of `byline.errors` with the same meaning. Code that handles an offline `NotFound`
also handles the service's.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from byline import errors

_PREFIX = "urn:byline:problem:"


class ProblemPart(BaseModel):
    """A wrong part of a request."""

    pointer: str | None = None
    """JSON Pointer of the part in the body. Empty for the body as a whole."""
    parameter: str | None = None
    """Name of the parameter of the path, the query or the headers."""
    detail: str = ""
    """Reason, without content."""


class ProblemDocument(BaseModel):
    """A problem document of RFC 9457."""

    type: str = "about:blank"
    """Stable identifier of the kind of problem."""
    title: str = ""
    """Readable name of the kind of problem."""
    status: int = 0
    """HTTP status."""
    detail: str = ""
    """Explanation of this problem and its solution."""
    request_id: str | None = None
    """Id of the request in the service's log."""
    errors: list[ProblemPart] = []
    """Wrong parts of the request, where the service knows them."""


class ClientError(errors.BylineError):
    """The root of the client's errors."""


class Unreachable(ClientError):
    """The service is unreachable, or the connection was lost."""


class UnexpectedAnswer(ClientError):
    """The answer does not come from a service of this release."""


class ServiceError(ClientError):
    """The service refused.

    Args:
        problem: Problem document of the service.
        retry_after: Seconds after which to try again. None if the service named none.
    """

    def __init__(self, problem: ProblemDocument, retry_after: float | None = None) -> None:
        Exception.__init__(self, problem.detail or problem.title or f"status {problem.status}")
        self.problem = problem
        self.retry_after = retry_after

    @property
    def kind(self) -> str:
        """Type of the problem without its prefix, such as `invalid-input`."""
        return self.problem.type.removeprefix(_PREFIX)

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.problem.status

    @property
    def request_id(self) -> str | None:
        """Id of the request in the service's log."""
        return self.problem.request_id


class InvalidRequest(ServiceError, errors.InvalidQuery):
    """The request is invalid: correct it."""


class TooLarge(InvalidRequest, errors.InputTooLarge):
    """The request is too large: send less at a time."""


class KeyReused(InvalidRequest, errors.ReusedKey):
    """The idempotency key belongs to another request."""


class NotPayable(InvalidRequest, errors.NotPayable):
    """No policy could pay for this event, for example without a standard error. Nothing was booked.

    The message has the reasons. `reasons` is empty: a problem document has no codes.
    """

    reasons: tuple[str, ...] = ()


class NonFinite(ServiceError, errors.NonFiniteGradient):
    """The query has no finite gradient."""


class Unauthorized(ServiceError, errors.Unauthorized):
    """The key is missing or invalid."""


class Forbidden(ServiceError, errors.Forbidden):
    """The key lacks the permission."""


class NotFound(ServiceError, errors.NotFound):
    """The requested object does not exist."""


class Conflict(ServiceError, errors.Conflict):
    """The state has changed: read it again, then decide."""


class StaleAlias(Conflict, errors.StaleAlias):
    """The alias was changed since its ETag was read: read it again, then decide."""


class InProgress(Conflict, errors.InProgress):
    """The first request with this idempotency key is still running after all attempts."""


class QuotaExceeded(ServiceError, errors.QuotaExceeded):
    """The quota of the key is used up: wait, or ask for a larger quota."""


class Unavailable(ServiceError, errors.Overloaded):
    """The service is full, starting, shutting down or without its database: wait."""


class DeadlineExceeded(ServiceError, errors.DeadlineExceeded):
    """The answer was not ready in time: ask for less, or pass `on_progress`."""


class ServiceFault(ServiceError):
    """The service failed: tell its operator, with the request id."""


class DiskFull(ServiceFault, errors.DiskFull):
    """The disk of the service is full. Nothing was written."""


_BY_KIND: Mapping[str, type[ServiceError]] = {
    "idempotency-mismatch": KeyReused,
    "in-progress": InProgress,
    "non-finite": NonFinite,
    "not-payable": NotPayable,
}
_BY_STATUS: Mapping[int, type[ServiceError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: StaleAlias,
    413: TooLarge,
    429: QuotaExceeded,
    502: Unavailable,  # from a proxy without a service behind it
    503: Unavailable,
    504: DeadlineExceeded,
    507: DiskFull,
}


def error_of(body: bytes, status: int | None = None, retry_after: float | None = None) -> ServiceError:
    """Make the error of a refusal.

    Args:
        body: Problem document. The message never repeats another body, such as a proxy's.
        status: Status of the response. None takes the document's status.
        retry_after: Seconds after which to try again. None if the response named none.

    Returns:
        An error of the class that fits the kind or the status.
    """
    try:
        problem = ProblemDocument.model_validate_json(body)
    except ValidationError:
        problem = ProblemDocument(title=f"status {status}, without a problem document")
    status = status or problem.status or 500
    problem = problem.model_copy(update={"status": status})
    made = _BY_KIND.get(problem.type.removeprefix(_PREFIX)) or _BY_STATUS.get(status)
    return (made or (ServiceFault if status >= 500 else InvalidRequest))(problem, retry_after)
