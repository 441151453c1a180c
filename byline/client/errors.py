"""What can go wrong on the way to an answer, one class for each decision that a caller can take.

```
ClientError                  (a BylineError)
├── Unreachable              no connection, or none that held: look at the address and the network
├── UnexpectedAnswer         what came is no answer of this release's service: look at what stands between
└── ServiceError             the service refused, with an RFC 9457 problem document
    ├── InvalidRequest       correct the request                                 400, 405, 415, 421, 422
    │   ├── TooLarge         send less at a time                                 413
    │   ├── KeyReused        an idempotency key came again with another request  422
    │   └── NotPayable       no policy could pay for this event: it is not booked 422
    ├── NonFinite            the query has no finite gradient                    422
    ├── Unauthorized         send a valid key                                    401
    ├── Forbidden            ask for another scope                               403
    ├── NotFound             no such index, example or statement                 404
    ├── Conflict             something else happened first: read again, decide   409, 412
    │   └── InProgress       the first request with this idempotency key goes on 409
    ├── QuotaExceeded        wait, or ask for a larger quota                     429
    ├── Unavailable          no room, starting, or shutting down: wait           503
    ├── DeadlineExceeded     ask for less, or stream the progress                504
    └── ServiceFault         tell the operator, with the request id              500
        └── DiskFull         the service's disk is full                          507
```

Classes are also those of `byline.errors` where one of these says the same, so that code which handles an offline
`NotFound` handles the service's too.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from byline import errors

_PREFIX = "urn:byline:problem:"


class ProblemDocument(BaseModel):
    """RFC 9457, as the service writes it."""

    type: str = "about:blank"
    """Stable name of the kind of problem."""
    title: str = ""
    """The kind of problem, for people."""
    status: int = 0
    """The HTTP status."""
    detail: str = ""
    """What was expected, what came, and what to do."""
    request_id: str | None = None
    """Finds the request in the service's log."""


class ClientError(errors.BylineError):
    """The root of what the client raises."""


class Unreachable(ClientError):
    """No connection, or none that held long enough."""


class UnexpectedAnswer(ClientError):
    """What came is no answer of this release's service."""


class ServiceError(ClientError):
    """The service refused.

    Args:
        problem: What it said.
        retry_after: Seconds after which it says to try again; None where it said none.
    """

    def __init__(self, problem: ProblemDocument, retry_after: float | None = None) -> None:
        Exception.__init__(self, problem.detail or problem.title or f"status {problem.status}")
        self.problem = problem
        self.retry_after = retry_after

    @property
    def kind(self) -> str:
        """The problem's type without its prefix: `invalid-input`."""
        return self.problem.type.removeprefix(_PREFIX)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def request_id(self) -> str | None:
        """Finds the request in the service's log."""
        return self.problem.request_id


class InvalidRequest(ServiceError, errors.InvalidQuery):
    """The request is wrong: correct it."""


class TooLarge(InvalidRequest, errors.InputTooLarge):
    """The request is too large: send less at a time."""


class KeyReused(InvalidRequest, errors.ReusedKey):
    """An idempotency key came again with another request."""


class NotPayable(InvalidRequest):
    """No policy could pay for this event, such as one whose scores have no standard error: nothing was booked."""


class NonFinite(ServiceError, errors.NonFiniteGradient):
    """The query has no finite gradient."""


class Unauthorized(ServiceError, errors.Unauthorized):
    """No key, or none that is valid."""


class Forbidden(ServiceError, errors.Forbidden):
    """The key does not allow this."""


class NotFound(ServiceError, errors.NotFound):
    """There is no such thing."""


class Conflict(ServiceError, errors.Conflict):
    """Something else happened first: read again, then decide."""


class InProgress(Conflict, errors.InProgress):
    """The first request with this idempotency key is not finished: it was tried again as often as it may."""


class QuotaExceeded(ServiceError, errors.QuotaExceeded):
    """The key's quota is used up: wait, or ask for a larger one."""


class Unavailable(ServiceError, errors.Overloaded):
    """There is no room now, or the service is starting, shutting down or without its database: wait."""


class DeadlineExceeded(ServiceError, errors.DeadlineExceeded):
    """The answer was not ready in time: ask for less, or stream the progress."""


class ServiceFault(ServiceError):
    """The service made a mistake: tell its operator, with the request id."""


class DiskFull(ServiceFault, errors.DiskFull):
    """The service's disk is full: nothing was written."""


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
    412: Conflict,
    413: TooLarge,
    429: QuotaExceeded,
    502: Unavailable,  # 502 is a proxy's, without a service behind it
    503: Unavailable,
    504: DeadlineExceeded,
    507: DiskFull,
}


def error_of(body: bytes, status: int | None = None, retry_after: float | None = None) -> ServiceError:
    """Make the error of a refusal.

    Args:
        body: A problem document; what a proxy sent in its place is not repeated.
        status: Of the response; None takes the document's.
        retry_after: Seconds, where the response said so.

    Returns:
        An error of the class that the kind or the status calls for.
    """
    try:
        problem = ProblemDocument.model_validate_json(body)
    except ValidationError:
        problem = ProblemDocument(title=f"status {status}, without a problem document")
    status = status or problem.status or 500
    problem = problem.model_copy(update={"status": status})
    made = _BY_KIND.get(problem.type.removeprefix(_PREFIX)) or _BY_STATUS.get(status)
    return (made or (ServiceFault if status >= 500 else InvalidRequest))(problem, retry_after)
