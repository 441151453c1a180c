"""Payouts, and attempts to be paid twice, more, after a reversal, in another currency or of another policy."""

import asyncio

import pytest

from byline.api.payouts import Payee
from byline.errors import InvalidInput, NotFound
from byline_service.compensation.runs import RunConflict, SamePerson
from byline_service.ledger import (
    entry_queries,
    run_workflow,
    statement_documents,
    statement_queries,
)
from byline_service.ledger.payout_documents import read_payout
from tests.service.books import caller

SCORES = {"ash": (30, 30, 30), "birch": (60, 60, 60)}
POOL = 900
ASH, BIRCH = 300, 600
"""Parts of the pool: the members agree, so nothing is in escrow."""
IBAN = "DE89370400440532013000"


@pytest.fixture
def paying(books):
    """Books of a policy whose first month is posted."""
    books.policy(pool=POOL)
    books.book(SCORES)
    books.posted(books.draft())
    return books


def sound(books):
    assert books.verify().findings == []
    assert sum(books.read(entry_queries.balances, "royalties").values()) == 0


def first_run(books):
    found = books.read(statement_queries.page, None, 9)
    return [run.id for run in found if run.kind == "allocation"][-1]


class TestPayouts:
    def test_payable_amounts_go_to_the_bank_and_are_paid(self, paying):
        run_id = paying.prepare()
        assert paying.account("payable") == {"ash": ASH, "birch": BIRCH}
        paying.posted(run_id)
        assert paying.account("transit") == {"ash": ASH, "birch": BIRCH}
        assert paying.account("payable") == {}
        paying.confirm(run_id, "  Überw. 17 ")
        assert paying.account("transit") == {}
        assert paying.account("paid") == {"ash": ASH, "birch": BIRCH}
        told = paying.read(read_payout, run_id)
        assert (told.state, told.total, told.reference) == ("paid", POOL, "  Überw. 17 ")
        assert [(line.owner, line.amount, line.netted) for line in told.lines] == [
            ("ash", ASH, 0),
            ("birch", BIRCH, 0),
        ]
        assert (told.prepared_by, told.confirmed_by) == ("ada", "grace")
        sound(paying)

    def test_a_part_is_paid_and_then_the_rest(self, paying):
        paying.paid("B1", {"ash": 100})
        assert paying.account("payable") == {"ash": ASH - 100, "birch": BIRCH}
        paying.paid("B2")
        assert paying.account("paid") == {"ash": ASH, "birch": BIRCH}
        sound(paying)

    def test_a_returned_transfer_is_payable_again(self, paying):
        run_id = paying.paid(returned=["ash"])
        assert paying.account("payable") == {"ash": ASH}
        assert paying.account("paid") == {"birch": BIRCH}
        assert [line.returned for line in paying.read(read_payout, run_id).lines] == [True, False]
        paying.paid("B2")
        sound(paying)

    def test_a_payout_that_the_bank_never_got_is_reversed(self, paying):
        run_id = paying.prepare()
        paying.posted(run_id)
        paying.reverse(run_id)
        assert paying.account("payable") == {"ash": ASH, "birch": BIRCH}
        with pytest.raises(RunConflict, match="not reversed"):
            paying.confirm(run_id)
        sound(paying)


class TestReceivables:
    def test_a_run_that_is_reversed_after_its_payment_is_netted_by_the_next(self, paying):
        paying.paid()
        paying.reverse(first_run(paying))
        assert paying.account("payable") == {"ash": -ASH, "birch": -BIRCH}
        with pytest.raises(RunConflict, match="expected a payable amount"):
            paying.prepare()
        sound(paying)
        paying.book({"ash": (60, 60, 60), "birch": (30, 30, 30)})
        run_id = paying.draft()
        line = paying.read(statement_documents.read_statement, caller("ada"), run_id, None).lines[0]
        assert (line.owner, line.payable, line.netted) == ("ash", 600, ASH)
        paying.posted(run_id)
        line = paying.read(statement_documents.read_statement, caller("ada"), run_id, None).lines[1]
        assert (line.owner, line.payable, line.netted) == ("birch", 300, 300)
        payout = paying.prepare()
        told = paying.read(read_payout, payout)
        assert [(each.owner, each.amount, each.netted) for each in told.lines] == [("ash", 300, ASH)]
        assert [(each.owner, each.amount) for each in told.receivables] == [("birch", 300)]
        paying.posted(payout)
        paying.confirm(payout, "B2")
        assert paying.account("paid") == {"ash": 600, "birch": BIRCH}
        assert paying.account("payable") == {"birch": -300}
        sound(paying)

    def test_a_run_that_is_reversed_while_the_bank_has_its_amounts(self, paying):
        payout = paying.prepare()
        paying.posted(payout)
        paying.reverse(first_run(paying))
        paying.confirm(payout, returned=["ash"])
        assert paying.account("payable") == {"birch": -BIRCH}
        sound(paying)


class TestAttacks:
    def test_one_amount_in_two_payouts(self, paying):
        first, second = paying.prepare(), paying.prepare()
        paying.posted(first)
        paying.approve(second)
        with pytest.raises(RunConflict, match="less than the run takes"):
            paying.post(second)
        sound(paying)

    def test_more_than_is_payable(self, paying):
        for amounts in (
            {"ash": ASH + 1},
            {"ash": ASH, "birch": BIRCH + 1},
            {"thief": 1},
            {"ash": 0},
            {"ash": -1},
        ):
            with pytest.raises(RunConflict, match="at most what is payable"):
                paying.prepare(amounts)
        with pytest.raises(RunConflict):
            paying.prepare({})
        assert paying.account("transit") == {}

    def test_an_amount_after_its_reversal(self, paying):
        payout = paying.prepare()
        paying.approve(payout)
        paying.reverse(first_run(paying))
        with pytest.raises(RunConflict, match="less than the run takes"):
            paying.post(payout)
        sound(paying)

    def test_a_paid_payout_cannot_be_reversed_with_the_transit_of_another(self, paying):
        """Its entries would balance: the second payout's amount is with the bank."""
        first = paying.paid("B1", {"ash": 100})
        drafted = paying.prepare({"ash": 100})
        early = paying.prepare({"ash": 50})
        paying.posted(early)
        reversal = paying.do(run_workflow.reverse, early, "a mistake").id
        paying.approve(reversal)
        paying.confirm(early, "B2")
        paying.posted(drafted)
        with pytest.raises(RunConflict, match="has not confirmed"):
            paying.do(run_workflow.reverse, first, "a mistake")
        with pytest.raises(RunConflict, match="has not confirmed"):
            paying.post(reversal)
        sound(paying)

    @pytest.mark.parametrize("reference", ["B1", " b 1", "\uff22\uff11", "b1 "])
    def test_a_reference_twice(self, paying, reference):
        paying.paid("B1", {"ash": 100})
        second = paying.prepare()
        paying.posted(second)
        with pytest.raises(RunConflict, match="no payout has"):
            paying.confirm(second, reference)
        paying.confirm(second, "B2")
        sound(paying)

    @pytest.mark.parametrize("reference", ["B\u200b1", "B\x001", "  ", "\u3164"])
    def test_a_reference_that_cannot_be_read(self, paying, reference):
        payout = paying.prepare()
        paying.posted(payout)
        with pytest.raises(InvalidInput, match="reference"):
            paying.confirm(payout, reference)

    def test_a_confirmation_twice(self, paying):
        first = paying.paid("B1", {"ash": 100})
        paying.posted(paying.prepare({"ash": 100}))
        with pytest.raises(RunConflict, match="has not confirmed"):
            paying.confirm(first, "B2")
        assert paying.account("paid") == {"ash": 100}
        sound(paying)

    def test_an_owner_on_hold(self, paying):
        """A payout leaves him out, or names him to who approves it. A hold that comes later stops it."""
        hold = paying.hold("ash")
        run_id = paying.prepare()
        assert [line.owner for line in paying.statement(run_id).lines] == ["birch"]
        named = paying.prepare({"ash": 7})
        assert paying.warned(named) == [("released_in_spite", 7)]
        assert [each.id for each in paying.statement(named).restrictions] == [hold]
        paying.approve(run_id)
        paying.hold("birch")
        with pytest.raises(RunConflict, match="others on its owners"):
            paying.post(run_id)
        with pytest.raises(RunConflict, match="name the amounts"):
            paying.prepare()
        paying.posted(named)
        paying.posted(paying.do(run_workflow.reverse, named, "a mistake").id)
        assert paying.account("payable") == {"ash": ASH, "birch": BIRCH}
        sound(paying)

    def test_one_person(self, paying):
        payout = paying.prepare()
        with pytest.raises(SamePerson):
            paying.approve(payout, person="ada")
        paying.posted(payout)
        with pytest.raises(SamePerson):
            paying.confirm(payout, person="ada")

    def test_what_is_no_posted_payout(self, paying):
        drafted = paying.prepare()
        with pytest.raises(RunConflict, match="posted"):
            paying.confirm(drafted)
        with pytest.raises(RunConflict, match="expected a payout"):
            paying.confirm(first_run(paying))
        with pytest.raises(NotFound):
            paying.confirm("r" * 32)
        with pytest.raises(NotFound):
            paying.read(read_payout, first_run(paying))

    @pytest.mark.parametrize("day", ["2026-03-28", "2026-04-30", "9999-01-01", "2026-02-30"])
    def test_a_value_date_before_the_payout_or_in_the_future(self, paying, day):
        payout = paying.prepare()
        paying.posted(payout)
        with pytest.raises(InvalidInput, match=r"expected a (value date|day)"):
            paying.confirm(payout, day=day)

    def test_a_returned_transfer_of_another_owner_or_twice(self, paying):
        payout = paying.prepare({"ash": 100})
        paying.posted(payout)
        for returned in (["birch"], ["ash", "ash"]):
            with pytest.raises(InvalidInput, match="returned"):
                paying.confirm(payout, returned=returned)

    def test_amounts_of_another_policy(self, paying):
        """Its owner has an amount there, in another currency."""
        paying.policy(name="bonus", currency="JPY", pool=50, group="other")
        paying.book({"cedar": (1, 1, 1)})
        paying.posted(paying.draft("bonus"))
        with pytest.raises(RunConflict, match="at most what is payable"):
            paying.prepare({"ash": 51}, name="bonus")
        with pytest.raises(RunConflict, match="at most what is payable"):
            paying.prepare({"cedar": 1})
        with pytest.raises(NotFound):
            paying.prepare(name="none")
        sound(paying)

    def test_an_account_with_wrong_digits_or_of_another_owner(self, paying):
        for owner, iban in (
            ("ash", "DE88370400440532013000"),
            ("ash", "XX00370400440532013000"),
            ("thief", IBAN),
        ):
            with pytest.raises(InvalidInput):
                paying.prepare({"ash": 1}, payees={owner: Payee(name="Ash", iban=iban)})

    def test_two_payouts_at_once(self, paying):
        drafted = [paying.prepare(), paying.prepare()]
        for run_id in drafted:
            paying.approve(run_id)

        async def at_once(database):
            async def post(run_id):
                async with database.begin() as transaction:
                    await run_workflow.post(transaction, caller("grace"), run_id)

            return await asyncio.gather(*map(post, drafted), return_exceptions=True)

        ended = paying.used.run(at_once)
        assert sorted(type(each).__name__ for each in ended) == ["NoneType", "RunConflict"]
        sound(paying)
