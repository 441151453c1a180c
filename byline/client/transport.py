"""Addresses, headers and the reading of responses, for both clients."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx

from byline.api.attributions import Progress
from byline.client.calls import EVENTS, JSON, Call
from byline.client.errors import ServiceError, UnexpectedAnswer, error_of
from byline.client.retries import Attempts, Retries, seconds_of
from byline.errors import InvalidInput
from byline.version import __version__

T = TypeVar("T")
CONNECT_SECONDS = 10.0


class Exchange:
    """Makes HTTP requests from calls.

    Args:
        url: Address of the service, which may include a path.
        key: API key. None sends no key.
        timeout: Seconds, for calls without a timeout.
        retries: Limits of repeated attempts.

    Raises:
        InvalidInput: The address or the key is invalid.
    """

    def __init__(self, url: str, key: str | None, timeout: float, retries: Retries) -> None:
        self.url, self._timeout, self._retries = _address(url), timeout, retries
        self._headers = {"User-Agent": f"byline-client/{__version__}", **_authorization(key)}

    def attempts(self, call: Call[Any]) -> Attempts:
        """Start counting the attempts of a call."""
        return Attempts(call, self._retries)

    def parts(self, call: Call[Any]) -> dict[str, Any]:
        """List the arguments of `httpx.Client.build_request`, without the body."""
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
            "invalid address of the service: expected a URL such as https://byline.example.org, without a key in it"
        )
    return str(parsed).rstrip("/")


def _authorization(key: str | None) -> dict[str, str]:
    if key is None:
        return {}
    if not key or " " in key or not (key.isascii() and key.isprintable()):
        raise InvalidInput(
            f"invalid API key of {len(key)} characters: expected a key such as byl_..., from `byline keys create`"
        )
    return {"Authorization": f"Bearer {key}"}


def timeout_of(seconds: float) -> httpx.Timeout:
    """Limit the seconds without a byte. The limit for a connection is lower."""
    return httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))


def is_stream(response: httpx.Response) -> bool:
    """Check whether a response is a stream of events."""
    kind: str = response.headers.get("content-type", "")
    return kind.startswith(EVENTS)


def refusal(response: httpx.Response) -> ServiceError:
    """Make the error of a response whose body was read."""
    return error_of(response.content, response.status_code, seconds_of(response.headers.get("retry-after")))


def answer_of(call: Call[T], body: bytes) -> T:
    """Read an answer.

    Args:
        call: The answered call.
        body: Bytes of the answer.

    Raises:
        UnexpectedAnswer: The bytes are no valid answer.
    """
    try:
        return call.read(body)
    except ValueError as error:
        raise UnexpectedAnswer(
            f"invalid answer of {len(body)} bytes to {call.method} {call.path}: check that a Byline service of the same "
            f"release answers at this address"
        ) from error


@dataclass(frozen=True)
class Result(Generic[T]):
    """The answer at the end of a stream."""

    answer: T


def result_of(call: Call[T], name: str, data: str) -> Result[T] | None:
    """Read an event of a stream.

    Args:
        call: The answered call. Its `on_progress` receives the progress.
        name: Name of the event. Unknown names are ignored, because later releases may add events.
        data: Data of the event.

    Returns:
        The answer, if the event holds it.

    Raises:
        ServiceError: The event holds a problem.
        UnexpectedAnswer: The data do not fit the name.
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
                raise UnexpectedAnswer(
                    "invalid progress event: check that a Byline service of the same release answers here"
                ) from error
            call.on_progress(progress)
    return None
