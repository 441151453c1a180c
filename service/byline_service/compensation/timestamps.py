"""Times as text that sorts in the order of time."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator

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
