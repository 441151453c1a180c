"""`Location` of a created entry, RFC 9110, 10.2.2."""

from typing import Any
from urllib.parse import quote

from pydantic_core import from_json
from starlette.responses import Response


def located(response: Response, collection: str, *place: str) -> Response:
    """Give an answer the address of the entry that it created.

    Args:
        response: Answer of an operation. One of another status than 201 has no such address.
        collection: Path of the list that has the entry.
        place: Names that lead to the entry's id in the JSON document of the answer. None for the list itself.

    Returns:
        The same answer. A repeated one has the same address.
    """
    if response.status_code == 201:
        response.headers["Location"] = location(collection, _found(response, place))
    return response


def location(collection: str, entry: str | None = None) -> str:
    """Return the path of an entry of a list, or of the list.

    Args:
        collection: Path of the list, as the client sent it or a constant.
        entry: Id or name of the entry.
    """
    path = quote(collection, safe="/")
    return path if entry is None else f"{path}/{quote(entry, safe='')}"


def _found(response: Response, place: tuple[str, ...]) -> str | None:
    if not place:
        return None
    found: Any = from_json(bytes(response.body))
    for name in place:
        found = found[name]
    return str(found)
