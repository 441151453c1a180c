"""Paged lists. All lists take `after` and `limit` alike, and a cursor names the last entry of a page.

A cursor is base64url text of a JSON array. It grants nothing: a list checks what the caller may see on each page.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any, TypeVar

from fastapi import Query
from pydantic import Field, TypeAdapter, ValidationError

from byline.errors import InvalidQuery

INVALID_CURSOR = "invalid cursor in 'after'; pass the 'next' value of the previous page"
MOST = 1000
"""Most entries of a page."""
After = Annotated[
    str | None, Query(max_length=8000, description="Cursor: `next` of the previous page of the same list")
]
Limit = Annotated[int, Query(ge=1, le=MOST, description="Most entries of the page")]
Number = Annotated[int, Field(ge=0, lt=1 << 63)]
Text = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")]
R = TypeVar("R")
P = TypeVar("P")


def cursor(*place: str | int) -> str:
    """Return the cursor of the page after a place.

    Args:
        *place: Values that determine the last entry of a page.
    """
    written = json.dumps(place, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(written.encode()).decode().rstrip("=")


def place_of(after: str | None, form: type[P]) -> P | None:
    """Read a cursor.

    Args:
        after: Cursor from the client. None for the first page.
        form: Form of the place, such as `tuple[Number, Text]`.

    Returns:
        The place of the last entry of the previous page. None for the first page.

    Raises:
        InvalidQuery: The cursor is not valid, or belongs to another list.
    """
    if after is None:
        return None
    typed: Any = form  # a type is hashable, which mypy does not know of `tuple[…]`
    try:
        decoded = base64.b64decode(after.encode() + b"=" * (-len(after) % 4), b"-_", validate=True)
        found: P = _adapter(typed).validate_json(decoded, strict=True)
    except (binascii.Error, ValidationError):
        raise InvalidQuery(INVALID_CURSOR) from None
    return found


@cache
def _adapter(form: Any) -> TypeAdapter[Any]:
    return TypeAdapter(form)


def cut(
    found: Sequence[R], limit: int, place: Callable[[R], tuple[str | int, ...]]
) -> tuple[Sequence[R], str | None]:
    """Cut a page out of the entries that follow a cursor.

    Args:
        found: Entries in order: one more than `limit`, or all that follow.
        limit: Most entries of the page.
        place: Function that returns the place of an entry.

    Returns:
        The entries of the page, and the cursor of the next page. No cursor on the last page.
    """
    shown = found[:limit]
    return shown, cursor(*place(shown[-1])) if len(found) > limit else None


def row_of_cursor(after: str | None, version: str, rows: int) -> int | None:
    """Read a cursor of a list of an index's rows.

    Args:
        after: Cursor from the client. None for the first page.
        version: The version that is served.
        rows: Number of rows of the list.

    Returns:
        The last row of the previous page. None for the first page.

    Raises:
        InvalidQuery: The cursor is not valid, or belongs to another version.
    """
    place = place_of(after, tuple[Text, Number])
    if place is None:
        return None
    if place[0] != version:
        raise InvalidQuery(
            "invalid cursor in 'after'; it belongs to another version of this index; start again without it"
        )
    if place[1] >= rows:
        raise InvalidQuery(INVALID_CURSOR)
    return place[1]
