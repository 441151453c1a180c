"""The states of payable accounts and the confirmations, as the tables have them."""

from byline_service.compensation.payouts import Due
from byline_service.ledger import payout_queries, statement_queries

SCORES = {"ash": (30, 30, 30), "birch": (60, 60, 60)}


def test_dues_count_what_was_netted_since_the_last_payout(books):
    books.policy(pool=900)
    books.book(SCORES)
    run_id = books.draft()
    books.posted(run_id)
    books.paid("B1", {"ash": 200})
    books.reverse(run_id)
    assert books.read(payout_queries.dues, "royalties") == {"ash": Due(-200, 0), "birch": Due(0, 0)}
    row, _ = books.read(statement_queries.find, run_id)
    assert books.read(payout_queries.receivables_before, row) == {}, "before it was posted"
    again = books.draft(period="2026-03")
    row, _ = books.read(statement_queries.find, again)
    assert books.read(payout_queries.receivables_before, row) == {"ash": 200}
    books.posted(again)
    assert books.read(payout_queries.dues, "royalties") == {"ash": Due(100, 200), "birch": Due(600, 0)}
    row, _ = books.read(statement_queries.find, again)
    assert books.read(payout_queries.receivables_before, row) == {"ash": 200}
    cancelled = books.prepare({"ash": 60})
    books.posted(cancelled)
    assert books.read(payout_queries.dues, "royalties")["ash"] == Due(40, 0)
    books.reverse(cancelled)
    assert books.read(payout_queries.dues, "royalties")["ash"] == Due(100, 0)
    assert books.read(payout_queries.dues, "none") == {}
    assert books.verify().findings == []


def test_a_confirmation_and_its_returned_transfers(books):
    books.policy(pool=900)
    books.book(SCORES)
    books.posted(books.draft())
    run_id = books.prepare()
    books.posted(run_id)
    assert books.read(payout_queries.confirmation, run_id) is None
    books.confirm(run_id, "Überweisung 1", returned=["ash"])
    found = books.read(payout_queries.confirmation, run_id)
    assert (found.reference, found.person, str(found.value_date)) == (
        "Überweisung 1",
        "grace",
        str(books.clock.now.date()),
    )
    assert books.read(payout_queries.returned_owners, run_id, found.sequence) == {"ash"}
    assert books.read(payout_queries.has_reference, "überweisung1")
    assert not books.read(payout_queries.has_reference, "Überweisung 2")
