"""Carrying calls out without blocking: as `blocking`, to be awaited."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import anyio
import httpx

from byline.client.calls import Call, Flow, Pages, presented
from byline.client.errors import ServiceError
from byline.client.retries import DEFAULT, Retries
from byline.client.sse import EventReader
from byline.client.transport import Exchange, answer_of, is_stream, refusal, result_of, timeout_of

A = ParamSpec("A")
T = TypeVar("T")


class AwaitingShell:
    """Sends calls, and lets others run while it waits.

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
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._exchange = Exchange(url, key, timeout, retries)
        self.url = self._exchange.url
        """The service's address."""
        self._owned = http is None
        self._http = http or httpx.AsyncClient(timeout=timeout_of(timeout))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, unless they were given."""
        if self._owned:
            await self._http.aclose()

    async def _run(self, call: Call[T]) -> T:
        attempts = self._exchange.attempts(call)
        while True:
            try:
                return await self._attempt(call)
            except (ServiceError, httpx.HTTPError) as error:
                pause = attempts.failed(error)
            await anyio.sleep(pause)

    async def _attempt(self, call: Call[T]) -> T:
        content = None if call.body is None else _yielding(call.body.chunks())
        request = self._http.build_request(**self._exchange.parts(call), content=content)
        response = await self._http.send(request, stream=True, follow_redirects=False)
        try:
            if not response.is_success:
                await response.aread()
                raise refusal(response)
            if not is_stream(response):
                return answer_of(call, await response.aread())
            reader = EventReader()
            async for chunk in response.aiter_bytes():
                for name, data in reader.feed(chunk):
                    if found := result_of(call, name, data):
                        return found.answer
            raise httpx.RemoteProtocolError("the stream ended without an answer")
        finally:
            await response.aclose()


async def _yielding(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Let others run between the chunks, which are copied from tensors.

    Yields:
        Each chunk.
    """
    for chunk in chunks:
        yield chunk
        await anyio.sleep(0)


def awaiting(
    build: Callable[A, Flow[T]],
) -> Callable[Concatenate[AwaitingShell, A], Coroutine[Any, Any, T]]:
    """Make a method that carries out a flow.

    Args:
        build: Makes the flow of the method's arguments.

    Returns:
        The method, with the same signature and words, to be awaited.
    """

    @presented(build)
    async def method(self: AwaitingShell, /, *args: A.args, **options: A.kwargs) -> T:
        flow, answer = build(*args, **options), None
        while True:
            try:
                call: Call[Any] = flow.send(answer)
            except StopIteration as end:
                found: T = end.value
                return found
            answer = await self._run(call)

    return method


def paging(build: Callable[A, Pages[T]]) -> Callable[Concatenate[AwaitingShell, A], AsyncIterator[T]]:
    """Make a method that goes through a list, fetching its pages as they are needed.

    Args:
        build: Describes the list by the method's arguments.

    Returns:
        The method, with the same signature and words, for `async for`.
    """

    @presented(build, AsyncIterator)
    async def method(self: AwaitingShell, /, *args: A.args, **options: A.kwargs) -> AsyncIterator[T]:
        pages = build(*args, **options)
        after: str | None = None
        while True:
            entries, after = await self._run(pages.page(after))
            for entry in entries:
                yield entry
            if after is None:
                return

    return method
