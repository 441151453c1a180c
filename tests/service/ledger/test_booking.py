"""Bookings and revisions: receipts once, times from the journal, forms that a policy admits, terms that stay."""

import pytest

from byline.errors import NotPayable
from byline_service.accounts import audit
from byline_service.compensation.journal import EventBooked, PolicyRevised, SigningKeyAdded
from byline_service.compensation.runs import RunConflict
from byline_service.ledger import journal_queries, signing_key_queries
from byline_service.ledger.booking import book_event
from byline_service.signing.keys import SigningKey
from tests.service.compensation.reference import KEY, event

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


def facts(books):
    return [type(each.fact) for each in books.read(journal_queries.records, [1, 2, 3, 4, 5])]


def test_a_key_is_written_before_its_first_event_alone(books):
    books.policy()
    books.book(SCORES)
    books.book(SCORES)
    assert facts(books) == [PolicyRevised, SigningKeyAdded, EventBooked, EventBooked]
    assert books.read(signing_key_queries.known) == [KEY.public]
    assert books.verify().findings == []


def test_a_receipt_is_booked_once(books):
    books.book(SCORES, id="one")
    with pytest.raises(RunConflict, match="not booked before"):
        books.book(SCORES, id="one", weight=5)
    assert facts(books) == [SigningKeyAdded, EventBooked]


def test_an_event_that_no_policy_admits_leaves_nothing(books):
    with pytest.raises(NotPayable, match="not_admitted"):
        books.book(SCORES, asked="feature")
    assert facts(books) == []
    assert books.read(signing_key_queries.known) == []


def test_an_event_of_another_key_than_its_signature_is_found(books):
    books.do(book_event, event(SCORES), SigningKey.from_secret(b"o" * 32).public)
    assert ["signature of a known key" in each.what for each in books.verify().findings] == [True]
