"""Runs on a real SQLite and a real PostgreSQL: drafted, approved, posted, carried, released, taken back."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from byline.api.compensation import Reason
from byline.errors import InvalidInput, NotFound, NotPayable
from byline_service.accounts import audit
from byline_service.compensation.runs import RunConflict, SamePerson
from byline_service.database.tables.compensation import APPEND_ONLY
from byline_service.database.tables.versions import index_versions
from byline_service.ledger import (
    entry_queries,
    event_queries,
    journal_queries,
    run_workflow,
    statement_queries,
)
from byline_service.ledger.booking import book_event
from byline_service.ledger.verify import verify
from tests.service.books import caller
from tests.service.compensation.reference import KEY, event

SCORES = {"ash": (30, 31, 29), "birch": (60, 55, 62), "cedar": (9, 12, 8), "elm": (-5, -4, -6)}


async def mark(transaction, who, version, state):
    values = {"index_name": "digits", "version": version, "state": state}
    await transaction.execute(insert(index_versions).values(registered_at=datetime.now(UTC), **values))


def balances(books, name="royalties"):
    return books.read(entry_queries.balances, name)


def held(books):
    """Each account's sum over its owners."""
    found = {}
    for (account, _), amount in balances(books).items():
        found[account] = found.get(account, 0) + amount
    return found


class TestTheWholeWay:
    def test_from_events_to_a_posted_run(self, books):
        books.policy(pool=10_000)
        booked = [books.book(SCORES), books.book({"ash": (-1, -2, -3)})]
        run_id = books.draft()
        with pytest.raises(SamePerson):
            books.approve(run_id, person="ada")
        with pytest.raises(RunConflict, match="approved"):
            books.post(run_id)
        row = books.posted(run_id)
        assert (row.state, row.drafted_by, row.steps["approval"][0]) == ("posted", "ada", "grace")
        assert held(books)["funding"] == -10_000
        assert sum(balances(books).values()) == 0
        assert held(books)["unallocated"] == 5_000
        lines = books.read(statement_queries.lines, run_id, None)
        assert [line.owner for line in lines] == ["ash", "birch", "cedar"]
        assert books.read(statement_queries.lines, run_id, {"birch"}) == lines[1:2]
        found = books.verify()
        assert found.findings == []
        assert (found.events, found.runs, found.posted) == (2, 1, 1)
        assert books.read(event_queries.find, "digits", booked[0].id) == booked[0]
        with pytest.raises(InvalidInput, match="found none"):
            books.draft()

    def test_every_step_is_in_the_audit_log(self, books):
        books.policy()
        books.book(SCORES)
        books.posted(books.draft())
        actions = [row["action"] for row in books.read(audit.page, None, 10)]
        assert actions == [
            "statement-runs.posting",
            "statement-runs.approval",
            "statement-runs.draft",
            "events.book",
            "policies.revise",
        ]

    def test_what_is_below_the_floor_is_carried(self, books):
        books.policy(pool=100, floor=40, multiplier=0)
        payable = []
        for _ in range(3):
            books.book({"small": (2, 2, 2), "large": (8, 8, 8)})
            run_id = books.draft()
            books.posted(run_id)
            payable.append(
                {line.owner: line.payable for line in books.read(statement_queries.lines, run_id, None)}
            )
        assert payable == [{"large": 80, "small": 0}, {"large": 80, "small": 40}, {"large": 80, "small": 0}]
        assert balances(books)["carried", "small"] == 20
        assert books.verify().findings == []

    def test_an_event_is_paid_for_once_by_a_policy_and_by_another_one_too(self, books):
        books.policy()
        books.policy(name="bonus", currency="JPY", group="bonus")
        books.book(SCORES)
        first, second = books.draft(), books.draft(period="2026-03")
        books.posted(first)
        books.approve(second)
        with pytest.raises(RunConflict, match="paid for"):
            books.post(second)
        books.do(run_workflow.void, second)
        books.posted(books.draft("bonus", "2026-03"))
        assert books.verify().findings == []

    def test_a_run_that_was_drafted_on_other_carried_amounts_is_refused(self, books):
        books.policy(pool=10, floor=1000)
        books.book(SCORES)
        first = books.draft()
        books.book(SCORES)
        second = books.draft()
        books.posted(second)
        books.approve(first)
        with pytest.raises(RunConflict, match="carried"):
            books.post(first)
        assert books.verify().findings == []

    def test_escrow_is_released_by_two_persons(self, books):
        books.policy()
        books.book(SCORES)
        books.posted(books.draft())
        escrow = {o: n for (account, o), n in balances(books).items() if account == "escrow"}
        assert min(escrow.values()) > 0
        with pytest.raises(RunConflict, match="at most"):
            books.release("too much", {"ash": escrow["ash"] + 1})
        some = books.release("agreed", {"ash": 1})
        rest = books.release("a better version", None)
        with pytest.raises(SamePerson):
            books.approve(some, person="ada")
        books.posted(some)
        books.approve(rest)
        with pytest.raises(RunConflict, match="enough"):
            books.post(rest)
        books.posted(books.release("a better version", None))
        assert held(books)["escrow"] == 0
        assert books.verify().findings == []
        with pytest.raises(RunConflict, match="found none"):
            books.release("more", None)

    def test_a_posted_run_is_taken_back_by_the_same_entries_with_the_other_sign(self, books):
        books.policy()
        books.book(SCORES)
        run_id = books.draft()
        with pytest.raises(RunConflict, match="posted"):
            books.do(run_workflow.reverse, run_id, "not yet")
        books.posted(run_id)
        with pytest.raises(RunConflict, match="draft or approved"):
            books.do(run_workflow.void, run_id)
        again = [books.do(run_workflow.reverse, run_id, "a mistake").id for _ in range(2)]
        books.posted(again[0])
        assert not any(balances(books).values())
        books.approve(again[1])
        with pytest.raises(RunConflict, match="not reversed"):
            books.post(again[1])
        with pytest.raises(RunConflict, match="not reversed"):
            books.do(run_workflow.reverse, run_id, "again")
        books.posted(books.draft(period="2026-03"))
        assert books.verify().findings == []
        assert held(books)["funding"] == -100_000

    def test_what_a_release_paid_out_is_taken_back_first(self, books):
        books.policy()
        books.book(SCORES)
        run_id = books.draft()
        books.posted(run_id)
        release = books.release("agreed", None)
        books.posted(release)
        back = books.do(run_workflow.reverse, run_id, "a mistake").id
        books.approve(back)
        with pytest.raises(RunConflict, match="first"):
            books.post(back)
        books.posted(books.do(run_workflow.reverse, release, "first this").id)
        books.post(back)
        assert not any(balances(books).values())
        assert books.verify().findings == []

    def test_periods_and_indexes_choose_events(self, books):
        books.policy(indexes=("digits",))
        first = books.book(SCORES)
        books.book(SCORES, index="others")
        books.clock.end_month()
        books.book(SCORES)
        run_id = books.draft(period="2026-03")
        statement = books.read(statement_queries.find, run_id)[1].statement
        assert [each.id for each in statement.events] == [first.id]
        assert books.verify().findings == []

    def test_what_is_refused_waits_for_a_revision_that_takes_it(self, books):
        books.policy()
        books.book(SCORES, error_scope="within_checkpoint")
        with pytest.raises(NotPayable) as refused:
            books.draft()
        assert refused.value.reasons == (Reason.WITHIN_CHECKPOINT,)
        books.clock.to(2026, 3, 20)
        books.book(SCORES)
        run_id = books.draft()
        statement = books.read(statement_queries.find, run_id)[1].statement
        assert [each.reasons for each in statement.refused] == [(Reason.WITHIN_CHECKPOINT,)]
        books.posted(run_id)
        books.policy(allow_within_checkpoint=True)
        books.posted(books.draft())
        assert books.verify().findings == []

    @pytest.mark.parametrize("state", ["unservable", "damaged"])
    @pytest.mark.parametrize("when", ["drafted", "approved", "posted"])
    def test_recorded_events_are_paid_for_whatever_happens_to_their_version(self, books, state, when):
        """Money needs the recorded events and the chain alone."""
        books.policy()
        books.book(SCORES, version="moved")
        for step in ("drafted", "approved", "posted"):
            if when == step:
                books.do(mark, "moved", state)
            if step == "drafted":
                run_id = books.draft()
            elif step == "approved":
                books.approve(run_id)
        assert books.post(run_id).state == "posted"
        assert held(books)["funding"] == -100_000
        assert books.verify().findings == []

    def test_of_two_events_with_one_reference_the_first_is_paid_for(self, books):
        books.policy()
        first = books.book(SCORES, reference="generation 7")
        again = books.book({"ash": (9, 9, 9)}, reference="generation 7", version="another")
        books.book(SCORES, reference="generation 8")
        run_id = books.draft()
        statement = books.read(statement_queries.find, run_id)[1].statement
        assert [each.id for each in statement.events][:1] == [first.id]
        assert [(each.id, each.reasons) for each in statement.refused] == [
            (again.id, (Reason.REPEATED_REFERENCE,))
        ]
        books.posted(run_id)
        with pytest.raises(NotPayable, match="repeated_reference"):
            books.draft()
        books.policy(unique_references=False)
        books.posted(books.draft())
        assert books.verify().findings == []

    def test_a_reference_of_an_index_that_the_policy_does_not_cover_is_another_one(self, books):
        books.policy(indexes=("digits",))
        books.book(SCORES, reference="generation 7", index="faces")
        books.book(SCORES, reference="generation 7")
        statement = books.read(statement_queries.find, books.draft())[1].statement
        assert (len(statement.events), statement.refused) == (1, ())
        assert books.verify().findings == []

    def test_a_period_begins_with_its_first_moment_and_ends_before_its_last(self, books):
        books.clock.to(2026, 2, 28, 23, 59, 59, 999_990)
        books.policy()
        booked = [books.book(SCORES)]
        for moment in ((2026, 3, 1), (2026, 3, 31, 23, 59, 59, 999_999), (2026, 4, 1)):
            books.clock.to(*moment)
            booked.append(books.book(SCORES))
        assert booked[1].booked_at == "2026-03-01T00:00:00.000000Z"
        statement = books.read(statement_queries.find, books.draft(period="2026-03"))[1].statement
        assert [each.id for each in statement.events] == [booked[1].id, booked[2].id]

    def test_a_run_has_a_bounded_number_of_scores(self, books, monkeypatch):
        monkeypatch.setattr("byline_service.ledger.candidate_queries.MOST_SCORES", 20)
        books.policy()
        books.book(SCORES)
        books.draft()
        for _ in range(2):
            books.book(SCORES)
        with pytest.raises(InvalidInput, match="at most 20 scores"):
            books.draft()

    def test_a_policys_currency_stays(self, books):
        assert books.policy().revision == 1
        assert books.policy(pool=7).revision == 2
        with pytest.raises(RunConflict, match="currency"):
            books.policy(currency="USD")

    def test_unknown_names(self, books):
        for work in (run_workflow.approve, run_workflow.post, run_workflow.void):
            with pytest.raises(NotFound):
                books.do(work, "no such run")
        with pytest.raises(NotFound):
            books.draft("no-such-policy")


def test_rows_are_only_added(books):
    books.policy()
    books.book(SCORES)
    books.posted(books.draft())
    books.end_hold(books.hold("ash"))
    books.roster({"ash": 1})
    books.consent(owner="oak", work="17", version="v")
    books.party("Ash")
    books.rights("owner,right,party,share,from,to\noak,author,Ash,1,,\n")
    books.paid()
    for table in APPEND_ONLY:
        column = list(table.columns)[-1].name
        for statement in (f"UPDATE {table.name} SET {column} = {column}", f"DELETE FROM {table.name}"):

            async def run(transaction, who, statement=statement):
                await transaction.execute(text(statement))

            with pytest.raises(DBAPIError, match="append-only"):
                books.do(run)
    assert books.verify().findings == []


def test_many_at_once_make_one_chain(books):
    async def book_all(database):
        async def one(number):
            async with database.begin() as transaction:
                await book_event(transaction, caller("ada"), event(SCORES, reference=str(number)), KEY.public)

        await asyncio.gather(*(one(number) for number in range(20)))

    books.used.run(book_all)
    found = books.verify()
    assert (found.findings, found.records) == ([], 21)  # the key that signed them is a record, too


def test_a_ledger_is_verified_as_of_one_moment_while_events_are_booked(books):
    """And another transaction is never waited for: the loop goes on."""
    books.policy()

    async def both(database):
        async with database.read() as reading:
            before = await journal_queries.last_sequence(reading)
            async with database.begin() as transaction:
                await book_event(transaction, caller("ada"), event(SCORES), KEY.public)
            return before, await journal_queries.last_sequence(reading)

    assert books.used.run(both) == (1, 1)

    async def verified_beside(database):
        async def book_some():
            for _ in range(10):
                async with database.begin() as transaction:
                    await book_event(transaction, caller("ada"), event(SCORES), KEY.public)

        _, *found = await asyncio.gather(book_some(), *(verify(database) for _ in range(5)))
        return [each.findings for each in found]

    assert books.used.run(verified_beside) == [[]] * 5


def test_two_postings_of_one_run_and_of_two_runs_of_the_same_events_pay_once(books):
    books.policy()
    books.book(SCORES)
    first, second = books.draft(), books.draft(period="2026-03")
    for run_id in (first, second):
        books.approve(run_id)

    async def at_once(database):
        async def post(run_id):
            async with database.begin() as transaction:
                await run_workflow.post(transaction, caller("grace"), run_id)

        return await asyncio.gather(*map(post, [first, second] * 3), return_exceptions=True)

    ended = books.used.run(at_once)
    assert sum(each is None for each in ended) == 1
    assert all(each is None or isinstance(each, RunConflict) for each in ended)
    assert held(books)["funding"] == -100_000
    assert books.verify().findings == []
