"""Names of runs and periods in words, with inclusive dates."""

import re
from datetime import date, datetime, timedelta

from byline.api.statements import RunDocument, StatementDocument

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def run_title(run: RunDocument) -> str:
    """Name a run by its period, or by the day of its draft if it has none.

    Args:
        run: The run.
    """
    drafted = day_title(datetime.fromisoformat(run.drafted_at).date())
    if run.kind == "release":
        return f"{_released(run)}, {drafted}"
    if run.kind == "payout":
        return f"Payout, {drafted}"
    if run.period is None:
        return f"Reversal of a release, {drafted}"
    title = period_title(run.period)
    return {"allocation": title, "adjustment": f"{title}, late events"}.get(run.kind, f"Reversal of {title}")


def _released(run: RunDocument) -> str:
    if not isinstance(run, StatementDocument):
        return "Release"
    return "Release of held amounts" if run.account == "held" else "Release of escrow"


def period_title(name: str) -> str:
    """Write the name of a period in words: `March 2026` for `2026-03`.

    Args:
        name: Name of a period of any calendar.
    """
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", name):
        return day_title(date.fromisoformat(name))
    year, _, part = name.partition("-")
    if part.startswith("W"):
        return f"Week {int(part[1:])} of {year}"
    if part.startswith("Q"):
        return f"{part} {year}"
    return f"{MONTHS[int(part) - 1]} {year}" if part else year


def day_title(day: date) -> str:
    """Write a day in words: `31 March 2026`."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year:04}"


def days_title(since: str, until: str) -> str:
    """Write the first and the last day of a period: `1 to 31 March 2026`.

    Args:
        since: First time of the period.
        until: First time after the period.
    """
    first = datetime.fromisoformat(since).date()
    last = (datetime.fromisoformat(until) - timedelta(microseconds=1)).date()
    if first == last:
        return day_title(first)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} to {day_title(last)}"
    if first.year == last.year:
        return f"{first.day} {MONTHS[first.month - 1]} to {day_title(last)}"
    return f"{day_title(first)} to {day_title(last)}"
