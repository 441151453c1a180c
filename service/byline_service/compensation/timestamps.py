"""Moments as text: what sorts as text sorts in time."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator

from byline.errors import InvalidInput

FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


def moment_text(moment: datetime) -> str:
    """Write a moment in UTC with microseconds: `2026-01-31T12:00:00.000000Z`."""
    return moment.astimezone(UTC).strftime(FORMAT).rjust(27, "0")


def moment_of(text: str) -> datetime:
    """Read a moment that `moment_text` wrote."""
    return datetime.strptime(text, FORMAT).replace(tzinfo=UTC)


def _same(text: str) -> str:
    assert moment_text(moment_of(text)) == text
    return text


MomentText = Annotated[str, AfterValidator(_same)]
"""A moment as `moment_text` writes it."""


def period_text(moment: datetime | None) -> str | None:
    """Write the end of a period that a client gave.

    Raises:
        InvalidInput: It has no zone, or is before the year 1 or after 9999 in UTC.
    """
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise InvalidInput("expected a moment with a zone, such as 2026-01-31T00:00:00Z, got one without")
    try:
        return moment_text(moment)
    except OverflowError:
        raise InvalidInput(
            "expected a moment of the years 1 to 9999 in UTC, got one outside of them"
        ) from None
