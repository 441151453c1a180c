"""Bookings and revisions: times from the journal, forms that a policy admits, terms that stay."""

import pytest

from byline.errors import NotPayable
from byline_service.accounts import audit
from byline_service.compensation.runs import RunConflict

SCORES = {"ash": (30, 31, 29), "birch": (60, 55, 62)}


def test_an_event_gets_the_time_of_its_record_and_a_line_of_the_audit_log(sqlite_books):
    sqlite_books.policy()
    booked = sqlite_books.book(SCORES, booked_at="2020-01-01T00:00:00.000000Z", weight=3)
    assert booked.booked_at.startswith("2026-03-10T12:00:00")
    (line,) = [each for each in sqlite_books.read(audit.page, None, 10) if each["action"] == "events.book"]
    assert (line["subject"], line["details"]["weight"], line["details"]["asked"]) == (booked.id, 3, "query")


@pytest.mark.parametrize("asked", ["gradient", "feature"])
def test_a_form_is_booked_while_a_policy_of_the_index_admits_it(sqlite_books, asked):
    sqlite_books.policy(indexes=("other",), asked=(asked,))
    with pytest.raises(NotPayable, match="not_admitted"):
        sqlite_books.book(SCORES, asked=asked)
    sqlite_books.policy(name="research", asked=(asked,))
    assert sqlite_books.book(SCORES, asked=asked).asked == asked
    sqlite_books.policy(name="research", asked=("query",))
    with pytest.raises(NotPayable, match="not_admitted"):
        sqlite_books.book(SCORES, asked=asked)


@pytest.mark.parametrize("changed", [{"currency": "JPY"}, {"period": "day"}, {"group": "other"}])
def test_a_revision_keeps_currency_calendar_and_group(sqlite_books, changed):
    assert sqlite_books.policy(pool=100).revision == 1
    assert sqlite_books.policy(pool=200).revision == 2
    with pytest.raises(RunConflict):
        sqlite_books.policy(**changed)
