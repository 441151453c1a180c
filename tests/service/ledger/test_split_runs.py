"""Runs that divide owners' amounts among parties: releases, reversals, and attempts at more than the table gives."""

import pytest

from byline.api.parties import PartyBody
from byline.errors import BylineError, Conflict, InvalidInput
from byline_service.compensation.runs import RunConflict
from byline_service.ledger import party_records, run_workflow

HEAD = "owner,right,party,share,from,to\n"
SPLIT = HEAD + "ada,author,ada,500000,,\nada,author,house,300000,,\n"


@pytest.fixture
def books(sqlite_books):
    sqlite_books.policy()
    for name, aliases in (("ada", ["A. L."]), ("house", []), ("press", [])):
        record(sqlite_books, name, aliases)
    return sqlite_books


def record(books, name, aliases):
    return books.do(party_records.record_party, PartyBody(name=name, aliases=aliases))


def refused(books, work, run_id, error=RunConflict):
    with pytest.raises(error):
        books.do(work, run_id, person="grace")


def test_parties_are_paid_and_the_rest_is_unclaimed(books):
    books.rights(SPLIT)
    books.book({"ada": (9, 9, 9), "A. L.": (9, 9, 9), "bob": (2, 2, 2)})
    run_id = books.posted(books.draft()).id
    assert books.account("payable") == {"ada": 45_000, "house": 27_000, "bob": 10_000}
    assert books.account("unclaimed") == {"ada": 9_000, "A. L.": 9_000}
    assert ("unclaimed", 18_000) in books.warned(run_id)
    assert books.verify().findings == []
    books.paid(amounts={"house": 27_000})
    books.reverse(run_id)
    assert books.account("payable") == {"house": -27_000}
    assert books.account("unclaimed") == {}
    books.rights(SPLIT.replace("300000", "500000"))
    books.posted(books.draft(period="2026-03"))
    assert books.account("payable") == {"ada": 45_000, "house": 18_000, "bob": 10_000}
    assert books.account("unclaimed") == {}
    assert books.verify().findings == []


def test_a_release_is_divided_once(books):
    hold = books.hold("ada")
    books.book({"ada": (9, 9, 9), "bob": (1, 1, 1)})
    books.posted(books.draft())
    books.end_hold(hold)
    books.rights(SPLIT)
    books.posted(books.release("agreed", account="held"))
    assert books.account("payable") == {"ada": 45_000, "house": 27_000, "bob": 10_000}
    assert books.account("unclaimed") == {"ada": 18_000}
    for account in ("held", "escrow"):
        with pytest.raises(RunConflict, match="found none"):
            books.release("again", account=account)
    assert books.verify().findings == []


@pytest.mark.parametrize(
    "change",
    [
        lambda books: books.rights(HEAD + "ada,author,press,1000000,,\n"),
        lambda books: record(books, "press", ["bob"]),
    ],
    ids=["table", "alias"],
)
def test_a_change_after_the_draft_or_the_approval_is_refused(books, change):
    books.rights(SPLIT)
    books.book({"ada": (9, 9, 9), "bob": (1, 1, 1)})
    first = books.draft()
    second = books.draft(period="2026-03")
    books.do(run_workflow.approve, second, person="grace")
    change(books)
    refused(books, run_workflow.approve, first)
    refused(books, run_workflow.post, second)
    assert books.account("payable") == {}
    books.posted(books.draft(period="2026-03"))
    assert "press" in books.account("payable")
    assert books.verify().findings == []


def test_a_party_that_is_held_is_shown_and_not_paid_out(books):
    books.rights(SPLIT)
    books.book({"ada": (9, 9, 9), "bob": (1, 1, 1)})
    early = books.draft()
    books.hold("house")
    refused(books, run_workflow.approve, early)
    run_id = books.draft(period="2026-03")
    assert [each.subject.owner for each in books.statement(run_id).restrictions] == ["house"]
    books.posted(run_id)
    payout = books.statement(books.prepare())
    assert [line.owner for line in payout.lines] == ["ada", "bob"]


def test_labels_and_rights_are_never_given_twice(books):
    with pytest.raises(Conflict):
        record(books, "press", ["A. L."])
    with pytest.raises(InvalidInput):
        books.rights(SPLIT + "ada,author,press,200001,,\n")
    books.rights(SPLIT)
    books.rights(HEAD + "ada,author,press,1000000,,\n", "letters")
    books.book({"ada": (9, 9, 9)})
    with pytest.raises(BylineError, match="same rows of an owner"):
        books.draft()


def test_rows_count_on_the_last_day_of_the_period(books):
    first = "ada,author,house,1000000,,2026-03-30\n"
    books.rights(HEAD + first + "ada,author,press,1000000,2026-03-31,2026-03-31\n")
    books.book({"ada": (9, 9, 9)})
    run_id = books.posted(books.draft()).id
    assert books.account("payable") == {"press": 100_000}
    (split,) = books.statement(run_id).splits
    assert books.verify().findings == []
    assert split.table is not None
