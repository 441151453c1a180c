"""What is sent and what is made of the answer, without a socket: both clients carry out the same calls."""

import inspect
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Generic, Literal, Protocol, TypeVar, get_args
from urllib.parse import quote

from pydantic import BaseModel

from byline.api.attributions import Progress
from byline.errors import InvalidQuery

T = TypeVar("T")
D = TypeVar("D", bound=BaseModel)
F = TypeVar("F", bound=Callable[..., Any])
OnProgress = Callable[[Progress], None]
JSON = "application/json"
EVENTS = "text/event-stream"
Cursor = Literal["after", "before"]


class Body(Protocol):
    """What a request carries; it can be sent again."""

    @property
    def content_type(self) -> str:
        """The media type of the bytes."""
        ...

    @property
    def length(self) -> int:
        """Bytes of all chunks together."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """The bytes, a part at a time, from the start each time it is called."""
        ...


@dataclass(frozen=True)
class JsonBody:
    """A JSON document."""

    data: bytes
    content_type: str = JSON

    @classmethod
    def of(cls, document: Any) -> "JsonBody":
        """Write a document as strict JSON.

        Raises:
            InvalidQuery: It cannot be written: a number is NaN or infinite, or a value is of another kind.
        """
        try:
            return cls(json.dumps(document, allow_nan=False).encode())
        except (TypeError, ValueError) as error:
            raise InvalidQuery(f"expected what JSON can hold, with finite numbers: {error}") from None

    @property
    def length(self) -> int:
        """Bytes of the document."""
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        """All of it at once.

        Yields:
            The document.
        """
        yield self.data


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """One request, and how its answer is read."""

    method: str
    path: str
    """Below the service's address: `/v1/indexes`."""
    read: Callable[[bytes], T]
    """Makes the answer of a successful response's body."""
    query: Sequence[tuple[str, str]] = ()
    body: Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    """Whether sending it twice does no more than sending it once."""
    on_progress: OnProgress | None = None
    """Told how far the answer is; the answer is then streamed."""
    timeout: float | None = None
    """Seconds without a byte from the service after which it is given up; None takes the client's."""


Flow = Generator[Call[Any], Any, T]
"""Calls that follow from one another: each call that is yielded is carried out, and its answer sent back."""


def one(call: Call[T]) -> Flow[T]:
    """A flow of one call.

    Args:
        call: The call.

    Yields:
        The call.

    Returns:
        Its answer.
    """
    answer: T = yield call
    return answer


def document(model: type[D]) -> Callable[[bytes], D]:
    """Read a document of one kind."""
    return model.model_validate_json


@dataclass(frozen=True, kw_only=True)
class Pages(Generic[T]):
    """A list that comes page by page."""

    path: str
    read: Callable[[bytes], tuple[Sequence[T], str | None]]
    """Makes the entries of a page, and the name of the page that follows."""
    query: Sequence[tuple[str, str]] = ()
    page_size: int | None = None
    """Entries of a page; None takes the service's own."""
    cursor: Cursor = "after"
    """The parameter that names a page."""

    def page(self, place: str | None) -> Call[tuple[Sequence[T], str | None]]:
        """The call for one page.

        Args:
            place: Names it; None is the first one.
        """
        query = list(self.query)
        query += [("limit", str(self.page_size))] if self.page_size else []
        query += [(self.cursor, place)] if place is not None else []
        return Call(method="GET", path=self.path, read=self.read, query=query, repeatable=True)


def entries_of(
    page: type[D], entries: Callable[[D], Sequence[T]]
) -> Callable[[bytes], tuple[Sequence[T], str | None]]:
    """Read pages of one kind.

    Args:
        page: The page's document, which names the page that follows in its `next`.
        entries: Takes the entries out of it.

    Returns:
        What `Pages.read` is.
    """

    def read(body: bytes) -> tuple[Sequence[T], str | None]:
        found = page.model_validate_json(body)
        following: str | int | None = getattr(found, "next", None)
        return entries(found), None if following is None else str(following)

    return read


def path_of(*parts: str) -> str:
    """An address below `/v1`, with every part quoted.

    Args:
        *parts: As in `/v1/indexes/{name}`.
    """
    return "/".join(["/v1", *(quote(part, safe="") for part in parts)])


def change(method: str, path: str, answer: type[D], body: Any = None, *, repeatable: bool = False) -> Call[D]:
    """A call that changes something.

    Args:
        method: Of HTTP.
        path: Its address.
        answer: The document that answers it.
        body: JSON; None sends none.
        repeatable: Whether the same again changes nothing.
    """
    sent = None if body is None else JsonBody.of(body)
    return Call(method=method, path=path, read=document(answer), body=sent, repeatable=repeatable)


def nothing(
    method: str, path: str, query: Sequence[tuple[str, str]] = (), *, repeatable: bool = False
) -> Call[None]:
    """A call that is answered without a document.

    Args:
        method: Of HTTP.
        path: Its address.
        query: Parameters.
        repeatable: Whether the same again changes nothing.
    """
    return Call(method=method, path=path, read=lambda _: None, query=query, repeatable=repeatable)


def get(path: str, read: Callable[[bytes], T], query: Sequence[tuple[str, str]] = ()) -> Flow[T]:
    """A flow that reads one document.

    Args:
        path: Its address.
        read: Makes the answer of it.
        query: Parameters.
    """
    return one(Call(method="GET", path=path, read=read, query=query, repeatable=True))


def presented(build: Callable[..., Any], result: Any = None) -> Callable[[F], F]:
    """Give a method the name, the words and the signature of what builds its calls, for `help` and editors.

    Args:
        build: Returns a `Flow` of an answer, or `Pages` of entries.
        result: What the method returns of these: `Iterator` of entries; None returns the answer itself.
    """

    def named(method: F) -> F:
        signature = inspect.signature(build)
        (*_, answer) = get_args(signature.return_annotation) or (signature.return_annotation,)
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        wraps(build)(method)
        vars(method)["__signature__"] = signature.replace(
            parameters=[own, *signature.parameters.values()],
            return_annotation=answer if result is None else result[answer],
        )
        return method

    return named
