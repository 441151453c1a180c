"""Confirmations and payouts that only a forged journal can have are found by the replay."""

import pytest

from byline_service.compensation.journal import PayoutConfirmed
from byline_service.ledger import journal_queries, run_workflow

SCORES = {"ash": (30, 30, 30), "birch": (60, 60, 60)}
POOL, ASH = 900, 300


class TestForgedRecords:
    @pytest.mark.parametrize(
        ("change", "found"),
        [
            ({"digest": "0" * 64}, "confirmed another statement"),
            ({"returned": ("thief",)}, "got another owner"),
            ({"reference": "B1"}, "another payout has the reference"),
            ({"run": "r" * 32}, "the payout does not exist"),
            ({"value_date": "2031-01-01"}, "expected a value date"),
        ],
    )
    def test_a_confirmation_that_the_service_would_refuse(self, sqlite_books, change, found):
        books = sqlite_books
        books.policy(pool=POOL)
        books.book(SCORES)
        books.posted(books.draft())
        books.paid("B1", {"ash": 100})
        payout = books.prepare()
        books.posted(payout)
        fact = {
            "run": payout,
            "digest": books.statement(payout).sha256,
            "reference": "B2",
            "value_date": str(books.clock.now.date()),
        } | change

        async def forge(transaction, who):
            place = await journal_queries.next_position(transaction)
            await journal_queries.write(transaction, place, "grace", PayoutConfirmed.model_validate(fact))

        books.do(forge)
        assert any(found in each.what for each in books.verify().findings)

    def test_a_payout_of_more_than_is_payable(self, sqlite_books):
        books = sqlite_books
        books.policy(pool=POOL)
        books.book(SCORES)
        books.posted(books.draft())
        sound = books.statement(books.prepare())
        line = sound.lines[0]
        for change in (
            {"lines": (line.model_copy(update={"amount": ASH + 1}),)},
            {"lines": (line.model_copy(update={"netted": 1}), sound.lines[1])},
            {"policy": sound.policy.model_copy(update={"currency": "JPY"})},
            {"lines": sound.lines * 2},
        ):
            run_id = books.do(run_workflow.draft, sound.model_copy(update=change)).id
            assert books.verify().findings, change
            books.do(run_workflow.void, run_id)
