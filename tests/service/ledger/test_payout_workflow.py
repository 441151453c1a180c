"""Payouts, and attempts to be paid twice, more, after a reversal, in another currency or of another policy."""

import asyncio

import pytest

from byline.api.payouts import ConfirmationBody, Payee
from byline.errors import InvalidInput, NotFound
from byline_service.compensation.journal import PayoutConfirmed
from byline_service.compensation.payouts import WantedPayout
from byline_service.compensation.runs import RunConflict, SamePerson
from byline_service.ledger import (
    entry_queries,
    journal_queries,
    payout_queries,
    payout_workflow,
    run_workflow,
    statement_documents,
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


def prepare(books, amounts=None, name="royalties", person="ada", **more):
    return books.do(payout_workflow.prepare, name, WantedPayout(amounts=amounts, **more), person=person).id


def confirm(books, run_id, reference="B1", day=None, returned=(), person="grace"):
    body = ConfirmationBody(
        reference=reference, value_date=day or str(books.clock.now.date()), returned=list(returned)
    )
    return books.do(payout_workflow.confirm, run_id, body, person=person)


def paid(books, reference="B1", amounts=None, returned=()):
    run_id = prepare(books, amounts)
    books.posted(run_id)
    confirm(books, run_id, reference, returned=returned)
    return run_id


def balance(books, account, name="royalties"):
    found = books.read(entry_queries.balances, name)
    return {owner: amount for (at, owner), amount in found.items() if at == account and amount}


def reverse(books, run_id):
    return books.posted(books.do(run_workflow.reverse, run_id, "a mistake").id)


def sound(books):
    assert books.verify().findings == []
    assert sum(books.read(entry_queries.balances, "royalties").values()) == 0


def first_run(books):
    return books.read(run_workflow.statement_queries.page, None, 9, "royalties", "allocation")[-1].id


class TestPayouts:
    def test_payable_amounts_go_to_the_bank_and_are_paid(self, paying):
        run_id = prepare(paying)
        assert balance(paying, "payable") == {"ash": ASH, "birch": BIRCH}
        paying.posted(run_id)
        assert balance(paying, "transit") == {"ash": ASH, "birch": BIRCH}
        assert balance(paying, "payable") == {}
        confirm(paying, run_id, "  Überw. 17 ")
        assert balance(paying, "transit") == {}
        assert balance(paying, "paid") == {"ash": ASH, "birch": BIRCH}
        told = paying.read(read_payout, run_id)
        assert (told.state, told.total, told.reference) == ("paid", POOL, "  Überw. 17 ")
        assert [(line.owner, line.amount, line.netted) for line in told.lines] == [
            ("ash", ASH, 0),
            ("birch", BIRCH, 0),
        ]
        assert (told.prepared_by, told.confirmed_by) == ("ada", "grace")
        sound(paying)

    def test_a_part_is_paid_and_then_the_rest(self, paying):
        paid(paying, "B1", {"ash": 100})
        assert balance(paying, "payable") == {"ash": ASH - 100, "birch": BIRCH}
        paid(paying, "B2")
        assert balance(paying, "paid") == {"ash": ASH, "birch": BIRCH}
        sound(paying)

    def test_a_returned_transfer_is_payable_again(self, paying):
        run_id = paid(paying, returned=["ash"])
        assert balance(paying, "payable") == {"ash": ASH}
        assert balance(paying, "paid") == {"birch": BIRCH}
        assert [line.returned for line in paying.read(read_payout, run_id).lines] == [True, False]
        paid(paying, "B2")
        sound(paying)

    def test_a_payout_that_the_bank_never_got_is_reversed(self, paying):
        run_id = prepare(paying)
        paying.posted(run_id)
        reverse(paying, run_id)
        assert balance(paying, "payable") == {"ash": ASH, "birch": BIRCH}
        with pytest.raises(RunConflict, match="not reversed"):
            confirm(paying, run_id)
        sound(paying)


class TestReceivables:
    def test_a_run_that_is_reversed_after_its_payment_is_netted_by_the_next(self, paying):
        paid(paying)
        reverse(paying, first_run(paying))
        assert balance(paying, "payable") == {"ash": -ASH, "birch": -BIRCH}
        with pytest.raises(RunConflict, match="expected a payable amount"):
            prepare(paying)
        sound(paying)
        paying.book({"ash": (60, 60, 60), "birch": (30, 30, 30)})
        run_id = paying.draft()
        line = paying.read(statement_documents.read_statement, caller("ada"), run_id, None).lines[0]
        assert (line.owner, line.payable, line.netted) == ("ash", 600, ASH)
        paying.posted(run_id)
        line = paying.read(statement_documents.read_statement, caller("ada"), run_id, None).lines[1]
        assert (line.owner, line.payable, line.netted) == ("birch", 300, 300)
        payout = prepare(paying)
        told = paying.read(read_payout, payout)
        assert [(each.owner, each.amount, each.netted) for each in told.lines] == [("ash", 300, ASH)]
        assert [(each.owner, each.amount) for each in told.receivables] == [("birch", 300)]
        paying.posted(payout)
        confirm(paying, payout, "B2")
        assert balance(paying, "paid") == {"ash": 600, "birch": BIRCH}
        assert balance(paying, "payable") == {"birch": -300}
        sound(paying)

    def test_a_run_that_is_reversed_while_the_bank_has_its_amounts(self, paying):
        payout = prepare(paying)
        paying.posted(payout)
        reverse(paying, first_run(paying))
        confirm(paying, payout, returned=["ash"])
        assert balance(paying, "payable") == {"birch": -BIRCH}
        sound(paying)


class TestAttacks:
    def test_one_amount_in_two_payouts(self, paying):
        first, second = prepare(paying), prepare(paying)
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
                prepare(paying, amounts)
        with pytest.raises(RunConflict):
            prepare(paying, {})
        assert balance(paying, "transit") == {}

    def test_an_amount_after_its_reversal(self, paying):
        payout = prepare(paying)
        paying.approve(payout)
        reverse(paying, first_run(paying))
        with pytest.raises(RunConflict, match="less than the run takes"):
            paying.post(payout)
        sound(paying)

    def test_a_paid_payout_cannot_be_reversed_with_the_transit_of_another(self, paying):
        """Its entries would balance: the second payout's amount is with the bank."""
        first = paid(paying, "B1", {"ash": 100})
        drafted = prepare(paying, {"ash": 100})
        early = prepare(paying, {"ash": 50})
        paying.posted(early)
        reversal = paying.do(run_workflow.reverse, early, "a mistake").id
        paying.approve(reversal)
        confirm(paying, early, "B2")
        paying.posted(drafted)
        with pytest.raises(RunConflict, match="has not confirmed"):
            paying.do(run_workflow.reverse, first, "a mistake")
        with pytest.raises(RunConflict, match="has not confirmed"):
            paying.post(reversal)
        sound(paying)

    @pytest.mark.parametrize("reference", ["B1", " b 1", "\uff22\uff11", "b1 "])
    def test_a_reference_twice(self, paying, reference):
        paid(paying, "B1", {"ash": 100})
        second = prepare(paying)
        paying.posted(second)
        with pytest.raises(RunConflict, match="no payout has"):
            confirm(paying, second, reference)
        confirm(paying, second, "B2")
        sound(paying)

    @pytest.mark.parametrize("reference", ["B\u200b1", "B\x001", "  ", "\u3164"])
    def test_a_reference_that_cannot_be_read(self, paying, reference):
        payout = prepare(paying)
        paying.posted(payout)
        with pytest.raises(InvalidInput, match="reference"):
            confirm(paying, payout, reference)

    def test_a_confirmation_twice(self, paying):
        first = paid(paying, "B1", {"ash": 100})
        paying.posted(prepare(paying, {"ash": 100}))
        with pytest.raises(RunConflict, match="has not confirmed"):
            confirm(paying, first, "B2")
        assert balance(paying, "paid") == {"ash": 100}
        sound(paying)

    def test_an_owner_on_hold(self, paying):
        """A payout leaves him out, or names him to who approves it. A hold that comes later stops it."""
        hold = paying.hold("ash")
        run_id = prepare(paying)
        assert [line.owner for line in paying.statement(run_id).lines] == ["birch"]
        named = prepare(paying, {"ash": 7})
        assert paying.warned(named) == [("released_in_spite", 7)]
        assert [each.id for each in paying.statement(named).restrictions] == [hold]
        paying.approve(run_id)
        paying.hold("birch")
        with pytest.raises(RunConflict, match="others on its owners"):
            paying.post(run_id)
        with pytest.raises(RunConflict, match="name the amounts"):
            prepare(paying)
        paying.posted(named)
        paying.posted(paying.do(run_workflow.reverse, named, "a mistake").id)
        assert balance(paying, "payable") == {"ash": ASH, "birch": BIRCH}
        sound(paying)

    def test_one_person(self, paying):
        payout = prepare(paying)
        with pytest.raises(SamePerson):
            paying.approve(payout, person="ada")
        paying.posted(payout)
        with pytest.raises(SamePerson):
            confirm(paying, payout, person="ada")

    def test_what_is_no_posted_payout(self, paying):
        drafted = prepare(paying)
        with pytest.raises(RunConflict, match="posted"):
            confirm(paying, drafted)
        with pytest.raises(RunConflict, match="expected a payout"):
            confirm(paying, first_run(paying))
        with pytest.raises(NotFound):
            confirm(paying, "r" * 32)
        with pytest.raises(NotFound):
            paying.read(read_payout, first_run(paying))

    @pytest.mark.parametrize("day", ["2026-03-28", "2026-04-30", "9999-01-01", "2026-02-30"])
    def test_a_value_date_before_the_payout_or_in_the_future(self, paying, day):
        payout = prepare(paying)
        paying.posted(payout)
        with pytest.raises(InvalidInput, match=r"expected a (value date|day)"):
            confirm(paying, payout, day=day)

    def test_a_returned_transfer_of_another_owner_or_twice(self, paying):
        payout = prepare(paying, {"ash": 100})
        paying.posted(payout)
        for returned in (["birch"], ["ash", "ash"]):
            with pytest.raises(InvalidInput, match="returned"):
                confirm(paying, payout, returned=returned)

    def test_amounts_of_another_policy(self, paying):
        """Its owner has an amount there, in another currency."""
        paying.policy(name="bonus", currency="JPY", pool=50, group="other")
        paying.book({"cedar": (1, 1, 1)})
        paying.posted(paying.draft("bonus"))
        with pytest.raises(RunConflict, match="at most what is payable"):
            prepare(paying, {"ash": 51}, name="bonus")
        with pytest.raises(RunConflict, match="at most what is payable"):
            prepare(paying, {"cedar": 1})
        with pytest.raises(NotFound):
            prepare(paying, name="none")
        sound(paying)

    def test_an_account_with_wrong_digits_or_of_another_owner(self, paying):
        for owner, iban in (
            ("ash", "DE88370400440532013000"),
            ("ash", "XX00370400440532013000"),
            ("thief", IBAN),
        ):
            with pytest.raises(InvalidInput):
                prepare(paying, {"ash": 1}, payees={owner: Payee(name="Ash", iban=iban)})

    def test_two_payouts_at_once(self, paying):
        drafted = [prepare(paying), prepare(paying)]
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
        paid(books, "B1", {"ash": 100})
        payout = prepare(books)
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
        sound = books.statement(prepare(books))
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


def test_the_dues_of_the_tables_are_those_of_the_replay(paying):
    paid(paying)
    reverse(paying, first_run(paying))
    assert {owner: due.balance for owner, due in paying.read(payout_queries.dues, "royalties").items()} == {
        "ash": -ASH,
        "birch": -BIRCH,
    }
