"""Cursors of paged lists. A cursor names the last row of a page, and the version of the index."""

import base64
import binascii

from byline.errors import InvalidQuery

INVALID_CURSOR = "invalid cursor in 'after'; pass the 'next' value of the previous page"


def cursor(version: str, row: int) -> str:
    """Return the cursor of the page after a row."""
    return base64.urlsafe_b64encode(f"{version}:{row}".encode()).decode().rstrip("=")


def row_of_cursor(text: str | None, version: str, rows: int) -> int | None:
    """Parse a cursor.

    Args:
        text: The cursor from the client. None for the first page.
        version: The version that is served.
        rows: Number of rows of the index.

    Returns:
        The last row of the previous page. None for the first page.

    Raises:
        InvalidQuery: The cursor is not valid, or belongs to another version.
    """
    if text is None:
        return None
    try:
        decoded = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        raise InvalidQuery(INVALID_CURSOR) from None
    named, _, digits = decoded.rpartition(":")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 16 and int(digits) < rows):
        raise InvalidQuery(INVALID_CURSOR)
    if named != version:
        raise InvalidQuery(
            "invalid cursor in 'after': it belongs to another version of this index; start again without it"
        )
    return int(digits)
