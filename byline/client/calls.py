"""Requests and the reading of answers, without a socket. Both clients execute the same calls."""

import inspect
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Generic, Protocol, TypeVar, get_args
from urllib.parse import quote

from pydantic import BaseModel

from byline.api.attributions import Progress
from byline.api.page import Page
from byline.errors import InvalidQuery

T = TypeVar("T")
D = TypeVar("D", bound=BaseModel)
F = TypeVar("F", bound=Callable[..., Any])
OnProgress = Callable[[Progress], None]
JSON = "application/json"
EVENTS = "text/event-stream"


class Body(Protocol):
    """The body of a request. The client can send it again."""

    @property
    def content_type(self) -> str:
        """Media type of the bytes."""
        ...

    @property
    def length(self) -> int:
        """Total number of bytes."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """Iterate over the bytes in parts. Each call starts from the beginning."""
        ...


@dataclass(frozen=True)
class JsonBody:
    """A JSON body."""

    data: bytes
    content_type: str = JSON

    @classmethod
    def of(cls, document: Any) -> "JsonBody":
        """Write a document as strict JSON.

        Args:
            document: Plain values.

        Raises:
            InvalidQuery: JSON cannot represent the document: a number is NaN or infinite, or a value has another type.
        """
        try:
            return cls(json.dumps(document, allow_nan=False).encode())
        except (TypeError, ValueError) as error:
            raise InvalidQuery(
                f"expected values that JSON can represent, with finite numbers: {error}"
            ) from None

    @property
    def length(self) -> int:
        """Number of bytes of the document."""
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        """Yield the whole document at once.

        Yields:
            The document.
        """
        yield self.data


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """A request, with the function that reads its answer."""

    method: str
    path: str
    """Path below the service's address, such as `/v1/indexes`."""
    read: Callable[[bytes], T]
    """Function that reads the answer from the body of a successful response."""
    query: Sequence[tuple[str, str]] = ()
    body: Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    """Whether a second attempt has no further effect."""
    on_progress: OnProgress | None = None
    """Function to call with the progress of the answer. The service then streams."""
    timeout: float | None = None
    """Seconds without a byte from the service before the client gives up. None takes the client's timeout."""


Flow = Generator[Call[Any], Any, T]
"""Dependent calls: the client executes each yielded call and sends its answer back."""


def one(call: Call[T]) -> Flow[T]:
    """Make a flow of one call.

    Args:
        call: The call.

    Yields:
        The call.

    Returns:
        The answer of the call.
    """
    answer: T = yield call
    return answer


def document(model: type[D]) -> Callable[[bytes], D]:
    """Make a function that reads a document.

    Args:
        model: Class of the document.
    """
    return model.model_validate_json


@dataclass(frozen=True, kw_only=True)
class Pages(Generic[T]):
    """A list in pages."""

    path: str
    document: type[Page[T]]
    """Class of a page, such as `Page[KeyInfo]`."""
    query: Sequence[tuple[str, str]] = ()
    page_size: int | None = None
    """Number of entries on a page. None takes the service's default."""

    def page(self, after: str | None) -> Call[Page[T]]:
        """Make the call for one page.

        Args:
            after: Cursor of the page. None means the first page.
        """
        query = list(self.query)
        query += [("limit", str(self.page_size))] if self.page_size else []
        query += [("after", after)] if after is not None else []
        return Call(method="GET", path=self.path, read=document(self.document), query=query, repeatable=True)


def path_of(*parts: str) -> str:
    """Join a path below `/v1`, with each part quoted.

    Args:
        *parts: Parts of the path, such as `indexes` and a name.
    """
    return "/".join(["/v1", *(quote(part, safe="") for part in parts)])


def change(method: str, path: str, answer: type[D], body: Any = None, *, repeatable: bool = False) -> Call[D]:
    """Make a call that changes something.

    Args:
        method: HTTP method.
        path: Path of the operation.
        answer: Class of the answer's document.
        body: Plain values of a JSON body. None sends no body.
        repeatable: Whether a second attempt has no further effect.
    """
    sent = None if body is None else JsonBody.of(body)
    return Call(method=method, path=path, read=document(answer), body=sent, repeatable=repeatable)


def nothing(
    method: str, path: str, query: Sequence[tuple[str, str]] = (), *, repeatable: bool = False
) -> Call[None]:
    """Make a call without a document in the answer.

    Args:
        method: HTTP method.
        path: Path of the operation.
        query: Query parameters.
        repeatable: Whether a second attempt has no further effect.
    """
    return Call(method=method, path=path, read=lambda _: None, query=query, repeatable=repeatable)


def get(path: str, read: Callable[[bytes], T], query: Sequence[tuple[str, str]] = ()) -> Flow[T]:
    """Make a flow that reads one document.

    Args:
        path: Path of the operation.
        read: Function that reads the answer.
        query: Query parameters.
    """
    return one(Call(method="GET", path=path, read=read, query=query, repeatable=True))


def presented(build: Callable[..., Any], result: Any = None) -> Callable[[F], F]:
    """Give a method the name, the docstring and the signature of the function that builds its calls.

    Args:
        build: Function that returns a `Flow` of an answer, or `Pages` of entries.
        result: Return type of the method around the entries, such as `Iterator`. None returns the answer itself.
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
