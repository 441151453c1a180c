"""Carrying calls out, one after the other."""

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from byline.client.calls import Call, Flow, Pages, presented
from byline.client.errors import ServiceError
from byline.client.retries import DEFAULT, Retries
from byline.client.sse import EventReader
from byline.client.transport import Exchange, answer_of, is_stream, refusal, result_of, timeout_of

A = ParamSpec("A")
T = TypeVar("T")


class BlockingShell:
    """Sends calls and waits.

    Args:
        url: The service's address.
        key: An API key; None sends none.
        timeout: Seconds without a byte after which an answer is given up.
        retries: How often a call is tried again.
        http: Sends the requests, with proxies and certificates of the caller's own; it is not closed here.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        retries: Retries = DEFAULT,
        http: httpx.Client | None = None,
    ) -> None:
        self._exchange = Exchange(url, key, timeout, retries)
        self.url = self._exchange.url
        """The service's address."""
        self._owned = http is None
        self._http = http or httpx.Client(timeout=timeout_of(timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless they were given."""
        if self._owned:
            self._http.close()

    def _run(self, call: Call[T]) -> T:
        attempts = self._exchange.attempts(call)
        while True:
            try:
                return self._attempt(call)
            except (ServiceError, httpx.HTTPError) as error:
                pause = attempts.failed(error)
            time.sleep(pause)

    def _attempt(self, call: Call[T]) -> T:
        content = None if call.body is None else call.body.chunks()
        request = self._http.build_request(**self._exchange.parts(call), content=content)
        response = self._http.send(request, stream=True, follow_redirects=False)
        try:
            if not response.is_success:
                response.read()
                raise refusal(response)
            if not is_stream(response):
                return answer_of(call, response.read())
            reader = EventReader()
            for chunk in response.iter_bytes():
                for name, data in reader.feed(chunk):
                    if found := result_of(call, name, data):
                        return found.answer
            raise httpx.RemoteProtocolError("the stream ended without an answer")
        finally:
            response.close()


def blocking(build: Callable[A, Flow[T]]) -> Callable[Concatenate[BlockingShell, A], T]:
    """Make a method that carries out a flow.

    Args:
        build: Makes the flow of the method's arguments.

    Returns:
        The method, with the same signature and words.
    """

    @presented(build)
    def method(self: BlockingShell, /, *args: A.args, **options: A.kwargs) -> T:
        flow, answer = build(*args, **options), None
        while True:
            try:
                call: Call[Any] = flow.send(answer)
            except StopIteration as end:
                found: T = end.value
                return found
            answer = self._run(call)

    return method


def paging(build: Callable[A, Pages[T]]) -> Callable[Concatenate[BlockingShell, A], Iterator[T]]:
    """Make a method that goes through a list, fetching its pages as they are needed.

    Args:
        build: Describes the list by the method's arguments.

    Returns:
        The method, with the same signature and words.
    """

    @presented(build, Iterator)
    def method(self: BlockingShell, /, *args: A.args, **options: A.kwargs) -> Iterator[T]:
        pages = build(*args, **options)
        after: str | None = None
        while True:
            entries, after = self._run(pages.page(after))
            yield from entries
            if after is None:
                return

    return method
