"""What both clients share around the socket: addresses, headers, and reading responses."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx

from byline import __version__
from byline.api.attributions import Progress
from byline.client.calls import EVENTS, JSON, Call
from byline.client.errors import ServiceError, UnexpectedAnswer, error_of
from byline.client.retries import Attempts, Retries, seconds_of
from byline.errors import InvalidInput

T = TypeVar("T")
CONNECT_SECONDS = 10.0


class Exchange:
    """Makes requests of calls.

    Args:
        url: The service's address, which may have a path of its own.
        key: An API key; None sends none.
        timeout: Of calls that have none.
        retries: How often a call is tried again.

    Raises:
        InvalidInput: The address or the key is none.
    """

    def __init__(self, url: str, key: str | None, timeout: float, retries: Retries) -> None:
        self.url, self._timeout, self._retries = _address(url), timeout, retries
        self._headers = {"User-Agent": f"byline-client/{__version__}", **_authorization(key)}

    def attempts(self, call: Call[Any]) -> Attempts:
        """The attempts at a call."""
        return Attempts(call, self._retries)

    def parts(self, call: Call[Any]) -> dict[str, Any]:
        """What `httpx` builds a request of, but for the body."""
        streamed = call.on_progress is not None
        headers = {**self._headers, **call.headers, "Accept": f"{EVENTS}, {JSON}" if streamed else JSON}
        if call.body is not None:
            headers |= {"Content-Type": call.body.content_type, "Content-Length": str(call.body.length)}
        return {
            "method": call.method,
            "url": f"{self.url}{call.path}",
            "params": list(call.query),
            "headers": headers,
            "timeout": timeout_of(call.timeout or self._timeout),
        }


def _address(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        parsed = httpx.URL("")
    unwanted = parsed.userinfo or parsed.query or parsed.fragment
    if parsed.scheme not in {"http", "https"} or not parsed.host or unwanted:
        raise InvalidInput(
            "expected the service's address like https://byline.example.org, got something else (the key goes beside it)"
        )
    return str(parsed).rstrip("/")


def _authorization(key: str | None) -> dict[str, str]:
    if key is None:
        return {}
    if not key or " " in key or not (key.isascii() and key.isprintable()):
        raise InvalidInput(f"expected a key like byl_..., got {len(key)} characters that are none")
    return {"Authorization": f"Bearer {key}"}


def timeout_of(seconds: float) -> httpx.Timeout:
    """Seconds without a byte; a connection must be there sooner."""
    return httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))


def is_stream(response: httpx.Response) -> bool:
    """Whether a response is a stream of events."""
    kind: str = response.headers.get("content-type", "")
    return kind.startswith(EVENTS)


def refusal(response: httpx.Response) -> ServiceError:
    """The error that a response means; its body was read."""
    return error_of(response.content, response.status_code, seconds_of(response.headers.get("retry-after")))


def answer_of(call: Call[T], body: bytes) -> T:
    """Read an answer.

    Raises:
        UnexpectedAnswer: It is none.
    """
    try:
        return call.read(body)
    except ValueError as error:
        raise UnexpectedAnswer(
            f"expected an answer of this release's service to {call.method} {call.path}, got {len(body)} bytes that are "
            f"none: look at what answers at this address, and at its release"
        ) from error


@dataclass(frozen=True)
class Result(Generic[T]):
    """The answer that ends a stream."""

    answer: T


def result_of(call: Call[T], name: str, data: str) -> Result[T] | None:
    """Take an event of a stream.

    Args:
        call: What is answered; its `on_progress` is told.
        name: The event's. Names that this release does not know are for later ones.
        data: The event's.

    Returns:
        The answer, once it has come.

    Raises:
        ServiceError: A problem came.
        UnexpectedAnswer: The data are not what the name says.
    """
    match name:
        case "answer":
            return Result(answer_of(call, data.encode()))
        case "problem":
            raise error_of(data.encode())
        case "progress" if call.on_progress is not None:
            try:
                progress = Progress.model_validate_json(data)
            except ValueError as error:
                raise UnexpectedAnswer("expected how far an answer is, got something else") from error
            call.on_progress(progress)
    return None
