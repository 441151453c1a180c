"""Amounts of works without consent wait, from events since then; nobody gets more by a consent."""

import pytest

from byline_service.compensation.runs import RunConflict
from byline_service.ledger import consent_queries

SCORES = {"ash": (30, 31, 29), "birch": (60, 55, 62)}


@pytest.fixture
def books(sqlite_books):
    return sqlite_books


def sound(books):
    assert books.verify().findings == []


def held(books, run_id):
    return {line.owner: (line.held, line.earned) for line in books.lines(run_id) if line.held}


def test_events_before_a_takedown_are_paid_and_later_ones_held(books):
    books.policy()
    books.clock.to(2026, 3, 12)
    books.book(SCORES)
    books.clock.to(2026, 3, 20)
    books.book(SCORES)
    books.consent("prohibited", "2026-03-15T00:00:00.000000Z", work="17", owner="ash")
    run_id = books.draft()
    ((part, whole),) = held(books, run_id).values()
    assert abs(2 * part - whole) <= 1
    assert [each.kind for each in books.statement(run_id).restrictions] == ["prohibited"]
    assert books.warned(run_id) == [("held", part)]
    books.posted(run_id)
    assert books.account("held") == {"ash": part}
    sound(books)


def test_another_version_or_index_is_paid(books):
    books.policy()
    books.book(SCORES)
    books.consent("prohibited", "2026-03-01T00:00:00.000000Z", version="another", owner="ash")
    books.consent("prohibited", "2026-03-01T00:00:00.000000Z", index="shapes", owner="ash")
    assert held(books, books.draft()) == {}


def test_consent_that_is_dated_back_frees_nothing(books):
    books.policy()
    books.consent("prohibited", "2026-03-01T00:00:00.000000Z", owner="ash")
    books.book(SCORES)
    books.consent("allowed", "2026-03-01T00:00:00.000000Z", owner="ash")
    run_id = books.draft()
    assert held(books, run_id)["ash"][0] > 0
    sound(books)


def test_a_run_of_before_a_takedown_is_not_paid(books):
    books.policy()
    books.book(SCORES)
    run_id = books.draft()
    books.approve(run_id)
    books.consent("prohibited", "2026-03-01T00:00:00.000000Z", owner="ash")
    with pytest.raises(RunConflict, match="consents"):
        books.post(run_id)
    sound(books)


def test_a_training_pool_holds_the_part_of_the_works(books):
    books.policy(name="training", pool=1_000, basis="training", fallback="by_size", indexes=("digits",))
    books.roster({"ash": 4, "birch": 1})
    books.consent("prohibited", "2026-03-01T00:00:00.000000Z", work="17", owner="ash")
    books.consent("expired", "2026-03-09T00:00:00.000000Z", work="18", owner="ash")
    run_id = books.draft("training")
    assert held(books, run_id) == {"ash": (400, 800)}
    books.posted(run_id)
    sound(books)


def test_pages(books):
    books.consent("prohibited", "2026-03-01T00:00:00.000000Z", work="17", owner="ash")
    books.consent("allowed", "2026-03-02T00:00:00.000000Z", owner="birch", index="shapes")
    newest, oldest = books.read(consent_queries.page, None, 9)
    assert (newest.consent.subject.owner, oldest.consent.subject.work) == ("birch", "17")
    place = newest.sequence, newest.line
    assert books.read(consent_queries.page, place, 9) == [oldest]
    assert books.read(consent_queries.page, None, 9, "digits") == [oldest]
