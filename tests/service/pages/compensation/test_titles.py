"""Names of periods and runs, as a rights manager says them."""

import pytest

from byline_service.compensation.calendar import EXAMPLES, period_named
from byline_service.pages.compensation.titles import days_title, period_title, run_title
from tests.service.pages.compensation.test_owner_charts import run_document


@pytest.mark.parametrize(
    ("calendar", "title", "days"),
    [
        ("day", "31 March 2026", "31 March 2026"),
        ("week", "Week 14 of 2026", "30 March to 5 April 2026"),
        ("month", "March 2026", "1 to 31 March 2026"),
        ("quarter", "Q1 2026", "1 January to 31 March 2026"),
        ("year", "2026", "1 January to 31 December 2026"),
    ],
)
def test_periods_have_names_and_inclusive_dates(calendar, title, days):
    period = period_named(calendar, EXAMPLES[calendar])
    assert period_title(period.name) == title
    assert days_title(period.since, period.until) == days


def test_a_week_may_cross_the_year():
    period = period_named("week", "2026-W53")
    assert days_title(period.since, period.until) == "28 December 2026 to 3 January 2027"


@pytest.mark.parametrize(
    ("kind", "period", "title"),
    [
        ("allocation", "2026-03", "March 2026"),
        ("adjustment", "2026-03", "March 2026, late events"),
        ("reversal", "2026-03", "Reversal of March 2026"),
        ("release", None, "Release, 4 March 2026"),
        ("reversal", None, "Reversal of a release, 4 March 2026"),
    ],
)
def test_runs_are_named_by_their_periods(kind, period, title):
    assert run_title(run_document(kind=kind, period=period)) == title
