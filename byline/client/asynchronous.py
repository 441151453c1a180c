"""Asynchronous execution of calls."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import anyio
import httpx
from httpx_sse import EventSource

from byline.client.base import BaseClient
from byline.client.calls import Call, Flow, Pages, presented
from byline.client.errors import ServiceError
from byline.client.transport import answer_of, is_stream, refusal, result_of

A = ParamSpec("A")
T = TypeVar("T")


class AsyncBase(BaseClient[httpx.AsyncClient]):
    """Sends a call and lets other tasks run until the answer."""

    def _connect(self, timeout: httpx.Timeout) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, unless you passed `http`."""
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
            async with aclosing(EventSource(response).aiter_sse()) as events:
                async for event in events:
                    if found := result_of(call, event.event, event.data):
                        return found.answer
            raise httpx.RemoteProtocolError("the stream ended without an answer")
        finally:
            await response.aclose()


async def _yielding(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Let other tasks run between the chunks, because copying one from a tensor takes time.

    Yields:
        Each chunk.
    """
    for chunk in chunks:
        yield chunk
        await anyio.sleep(0)


def awaiting(
    build: Callable[A, Flow[T]],
) -> Callable[Concatenate[AsyncBase, A], Coroutine[Any, Any, T]]:
    """Make a coroutine method that executes a flow.

    Args:
        build: Makes the flow from the method's arguments.

    Returns:
        The method, with the signature and the docstring of `build`.
    """

    @presented(build)
    async def method(self: AsyncBase, /, *args: A.args, **options: A.kwargs) -> T:
        flow, answer = build(*args, **options), None
        while True:
            try:
                call: Call[Any] = flow.send(answer)
            except StopIteration as end:
                found: T = end.value
                return found
            answer = await self._run(call)

    return method


def awaiting_pages(build: Callable[A, Pages[T]]) -> Callable[Concatenate[AsyncBase, A], AsyncIterator[T]]:
    """Make a method that iterates over a list asynchronously and fetches its pages on demand.

    Args:
        build: Describes the list by the method's arguments.

    Returns:
        The method for `async for`, with the signature and the docstring of `build`.
    """

    @presented(build, AsyncIterator)
    async def method(self: AsyncBase, /, *args: A.args, **options: A.kwargs) -> AsyncIterator[T]:
        pages = build(*args, **options)
        after: str | None = None
        while True:
            page = await self._run(pages.page(after))
            for entry in page.data:
                yield entry
            if (after := page.next) is None:
                return

    return method
