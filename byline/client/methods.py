"""Descriptors that give both clients the same method: a blocking one and an asynchronous one."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Generic, ParamSpec, TypeVar, overload

from byline.client.asynchronous import AsyncBase, awaiting, awaiting_pages
from byline.client.calls import Flow, Pages
from byline.client.synchronous import SyncBase, blocking, blocking_pages

A = ParamSpec("A")
T = TypeVar("T")


class _Twin:
    """The two forms of one method. The class that it is looked up on decides between them."""

    def __init__(self, blocks: Callable[..., Any], awaits: Callable[..., Any]) -> None:
        self._blocks, self._awaits = blocks, awaits
        self.__doc__ = blocks.__doc__

    def _bound(self, client: object, owner: type) -> Any:
        form: Any = self._awaits if issubclass(owner, AsyncBase) else self._blocks
        return form.__get__(client, owner)


class Method(_Twin, Generic[A, T]):
    """A method that executes a flow.

    Args:
        build: Makes the flow from the method's arguments.
    """

    def __init__(self, build: Callable[A, Flow[T]]) -> None:
        super().__init__(blocking(build), awaiting(build))

    @overload
    def __get__(self, client: None, owner: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, client: SyncBase, owner: type) -> Callable[A, T]: ...
    @overload
    def __get__(self, client: AsyncBase, owner: type) -> Callable[A, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: object, owner: type) -> Callable[..., Any]:
        """Bind the form that fits the class."""
        bound: Callable[..., Any] = self._bound(client, owner)
        return bound


class Listing(_Twin, Generic[A, T]):
    """A method that iterates over a list and fetches its pages on demand.

    Args:
        build: Describes the list by the method's arguments.
    """

    def __init__(self, build: Callable[A, Pages[T]]) -> None:
        super().__init__(blocking_pages(build), awaiting_pages(build))

    @overload
    def __get__(self, client: None, owner: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, client: SyncBase, owner: type) -> Callable[A, Iterator[T]]: ...
    @overload
    def __get__(self, client: AsyncBase, owner: type) -> Callable[A, AsyncIterator[T]]: ...
    def __get__(self, client: object, owner: type) -> Callable[..., Any]:
        """Bind the form that fits the class."""
        bound: Callable[..., Any] = self._bound(client, owner)
        return bound
