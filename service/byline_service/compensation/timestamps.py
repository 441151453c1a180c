"""Times as text that sorts in the order of time."""

from datetime import UTC, date, datetime
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


def parse_day(text: str) -> date:
    """Parse a day: `2026-01-31`.

    Raises:
        InvalidInput: The calendar has no such day.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput("expected a day of the calendar as YYYY-MM-DD, got another text") from None


def _same(text: str) -> str:
    assert timestamp_text(parse_timestamp(text)) == text
    return text


TimestampText = Annotated[str, AfterValidator(_same)]
"""A time as `timestamp_text` writes it."""
