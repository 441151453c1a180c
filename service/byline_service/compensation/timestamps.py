"""Times as text that sorts in the order of time."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator

from byline.errors import InvalidInput

FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


def timestamp_text(moment: datetime) -> str:
    """Write a time in UTC with microseconds: `2026-01-31T12:00:00.000000Z`."""
    return moment.astimezone(UTC).strftime(FORMAT).rjust(27, "0")


def parse_timestamp(text: str) -> datetime:
    """Parse a time that `timestamp_text` wrote."""
    return datetime.strptime(text, FORMAT).replace(tzinfo=UTC)


def _same(text: str) -> str:
    assert timestamp_text(parse_timestamp(text)) == text
    return text


TimestampText = Annotated[str, AfterValidator(_same)]
"""A time as `timestamp_text` writes it."""


def period_text(moment: datetime | None) -> str | None:
    """Write a limit of a period that a client gave.

    Raises:
        InvalidInput: The time has no zone, or is before the year 1 or after 9999 in UTC.
    """
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise InvalidInput("expected a time with a zone, such as 2026-01-31T00:00:00Z, got one without")
    try:
        return timestamp_text(moment)
    except OverflowError:
        raise InvalidInput("expected a time of the years 1 to 9999 in UTC, got one outside of them") from None
