"""Blocking execution of calls."""

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx
from httpx_sse import EventSource

from byline.client.base import BaseClient
from byline.client.calls import Call, Flow, Pages, presented
from byline.client.errors import ServiceError
from byline.client.transport import answer_of, is_stream, refusal, result_of

A = ParamSpec("A")
T = TypeVar("T")


class SyncBase(BaseClient[httpx.Client]):
    """Sends a call and blocks until the answer."""

    def _connect(self, timeout: httpx.Timeout) -> httpx.Client:
        return httpx.Client(timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless you passed `http`."""
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
            for event in EventSource(response).iter_sse():
                if found := result_of(call, event.event, event.data):
                    return found.answer
            raise httpx.RemoteProtocolError("the stream ended without an answer")
        finally:
            response.close()


def blocking(build: Callable[A, Flow[T]]) -> Callable[Concatenate[SyncBase, A], T]:
    """Make a method that executes a flow.

    Args:
        build: Makes the flow from the method's arguments.

    Returns:
        The method, with the signature and the docstring of `build`.
    """

    @presented(build)
    def method(self: SyncBase, /, *args: A.args, **options: A.kwargs) -> T:
        flow, answer = build(*args, **options), None
        while True:
            try:
                call: Call[Any] = flow.send(answer)
            except StopIteration as end:
                found: T = end.value
                return found
            answer = self._run(call)

    return method


def blocking_pages(build: Callable[A, Pages[T]]) -> Callable[Concatenate[SyncBase, A], Iterator[T]]:
    """Make a method that iterates over a list and fetches its pages on demand.

    Args:
        build: Describes the list by the method's arguments.

    Returns:
        The method, with the signature and the docstring of `build`.
    """

    @presented(build, Iterator)
    def method(self: SyncBase, /, *args: A.args, **options: A.kwargs) -> Iterator[T]:
        pages = build(*args, **options)
        after: str | None = None
        while True:
            page = self._run(pages.page(after))
            yield from page.data
            if (after := page.next) is None:
                return

    return method
