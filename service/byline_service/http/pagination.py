"""Cursors of paged lists: the key of the last row seen, bound to the version it was seen in."""

import base64
import binascii

from byline.errors import InvalidQuery


def cursor(version: str, row: int) -> str:
    """Make the cursor of the page that follows a row."""
    return base64.urlsafe_b64encode(f"{version}:{row}".encode()).decode().rstrip("=")


def row_of_cursor(text: str | None, version: str, rows: int) -> int | None:
    """Read a cursor.

    Args:
        text: What the client sent; None for the first page.
        version: The version that is served.
        rows: Rows of the index.

    Returns:
        The last row of the page before; None for the first page.

    Raises:
        InvalidQuery: It is no cursor, or one of another version.
    """
    if text is None:
        return None
    try:
        decoded = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        raise InvalidQuery("expected after to be the next of a page, got something else") from None
    named, _, digits = decoded.rpartition(":")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 16 and int(digits) < rows):
        raise InvalidQuery("expected after to be the next of a page, got something else")
    if named != version:
        raise InvalidQuery("after belongs to another version of this index: start again without it")
    return int(digits)
