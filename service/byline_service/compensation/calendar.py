"""Calendars: days, weeks, months, quarters and years in UTC. A run pays one of their periods.

Each period has one name: `2026-03-31`, `2026-W14` (ISO 8601, from Monday), `2026-03`, `2026-Q1`, `2026`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from byline.api.compensation import Calendar
from byline.errors import InvalidInput
from byline_service.compensation.timestamps import parse_timestamp, timestamp_text

_SHAPES = {
    "day": "([0-9]{4})-([0-9]{2})-([0-9]{2})",
    "week": "([0-9]{4})-W([0-9]{2})",
    "month": "([0-9]{4})-([0-9]{2})",
    "quarter": "([0-9]{4})-Q([1-4])",
    "year": "([0-9]{4})",
}
_FIRST_DAYS: Mapping[str, Callable[..., date]] = {
    "day": date,
    "week": lambda year, week: date.fromisocalendar(year, week, 1),
    "month": lambda year, month: date(year, month, 1),
    "quarter": lambda year, quarter: date(year, 3 * quarter - 2, 1),
    "year": lambda year: date(year, 1, 1),
}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
EXAMPLES = {"day": "2026-03-31", "week": "2026-W14", "month": "2026-03", "quarter": "2026-Q1", "year": "2026"}
"""A name of a period of each calendar."""


@dataclass(frozen=True)
class Period:
    """A period of a calendar."""

    name: str
    """Name of the period."""
    since: str
    """First time of the period."""
    until: str
    """First time after the period."""


def period_named(calendar: Calendar, name: str) -> Period:
    """Return the period of a name.

    Args:
        calendar: The calendar.
        name: Name of one of its periods.

    Raises:
        InvalidInput: The calendar has no period of this name.
    """
    found = re.fullmatch(_SHAPES[calendar], name)
    try:
        if found is None:
            raise ValueError
        return _period(calendar, _FIRST_DAYS[calendar](*map(int, found.groups())))
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"expected period to be a {calendar} of the years 1 to 9998, such as {EXAMPLES[calendar]}, "
            "got another text"
        ) from None


def last_finished(calendar: Calendar, moment: str) -> Period:
    """Return the last period that had ended at a time.

    Args:
        calendar: The calendar.
        moment: The time, as `timestamp_text` writes it.
    """
    now = _first_day(calendar, parse_timestamp(moment).date())
    return _period(calendar, _first_day(calendar, now - timedelta(days=1)))


def _period(calendar: Calendar, first: date) -> Period:
    return Period(_name(calendar, first), _midnight(first), _midnight(_next(calendar, first)))


def _first_day(calendar: Calendar, day: date) -> date:
    """Return the first day of the period with a day."""
    if calendar == "day":
        return day
    if calendar == "week":
        return day - timedelta(days=day.weekday())
    months = _MONTHS[calendar]
    return date(day.year, (day.month - 1) // months * months + 1, 1)


def _next(calendar: Calendar, first: date) -> date:
    """Return the first day of the next period."""
    if calendar not in _MONTHS:
        return first + timedelta(days=1 if calendar == "day" else 7)
    years, month = divmod(first.month - 1 + _MONTHS[calendar], 12)
    return date(first.year + years, month + 1, 1)


def _name(calendar: Calendar, first: date) -> str:
    if calendar == "week":
        return "{:04}-W{:02}".format(*first.isocalendar())
    if calendar == "quarter":
        return f"{first.year:04}-Q{(first.month + 2) // 3}"
    return first.isoformat()[: {"day": 10, "month": 7, "year": 4}[calendar]]


def _midnight(day: date) -> str:
    return timestamp_text(datetime(day.year, day.month, day.day, tzinfo=UTC))
