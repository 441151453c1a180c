"""Calendars: every moment is in one period, and every period has one name."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byline.errors import InvalidInput
from byline_service.compensation.calendar import EXAMPLES, last_finished, period_named
from byline_service.compensation.timestamps import parse_timestamp, timestamp_text

MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("calendar", "name", "since", "until"),
    [
        ("day", "2028-02-29", "2028-02-29", "2028-03-01"),
        ("week", "2026-W01", "2025-12-29", "2026-01-05"),
        ("week", "2026-W53", "2026-12-28", "2027-01-04"),
        ("month", "2026-12", "2026-12-01", "2027-01-01"),
        ("quarter", "2026-Q4", "2026-10-01", "2027-01-01"),
        ("year", "2026", "2026-01-01", "2027-01-01"),
    ],
)
def test_limits(calendar, name, since, until):
    found = period_named(calendar, name)
    assert (found.name, found.since, found.until) == (
        name,
        f"{since}T00:00:00.000000Z",
        f"{until}T00:00:00.000000Z",
    )


@given(MOMENTS, st.sampled_from(sorted(EXAMPLES)))
@settings(deadline=None, max_examples=200)
def test_the_last_finished_period_ended_before_and_the_next_one_has_the_moment(moment, calendar):
    text = timestamp_text(moment)
    last = last_finished(calendar, text)
    assert period_named(calendar, last.name) == last
    assert last.until <= text
    after = parse_timestamp(last.until)
    following = last_finished(calendar, timestamp_text(after + timedelta(days=367)))
    assert following.until > last.until
    days = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}[calendar]
    assert moment < after + timedelta(days=days)


@given(st.dates(date(2, 1, 1), date(9998, 1, 1)), st.sampled_from(sorted(EXAMPLES)))
@settings(deadline=None, max_examples=100)
def test_periods_follow_each_other_without_a_gap(day, calendar):
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    first = last_finished(calendar, timestamp_text(noon))
    span = timedelta(days={"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}[calendar])
    later = last_finished(calendar, timestamp_text(parse_timestamp(first.until) + span))
    assert later.since >= first.until
    assert later.since == first.until or calendar in ("month", "quarter", "year")


@pytest.mark.parametrize(
    ("calendar", "name"),
    [
        ("day", "2026-02-29"),
        ("day", "20260301"),
        ("week", "2025-W53"),
        ("week", "2026-W00"),
        ("month", "2026-00"),
        ("month", "2026-1"),
        ("month", "\uff12026-01"),
        ("month", "2026-01 "),
        ("quarter", "2026-Q5"),
        ("year", "0000"),
        ("year", "9999"),
        ("month", "9999-12"),
        ("week", "9999-W52"),
    ],
)
def test_names_that_are_none(calendar, name):
    with pytest.raises(InvalidInput, match=EXAMPLES[calendar]):
        period_named(calendar, name)
