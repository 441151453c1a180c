"""Attempts to get more money than the rule gives, with ordinary keys and with an administrator's. None succeeds."""

import asyncio

import pytest
from sqlalchemy import insert

from byline.api.compensation import Reason
from byline.errors import InvalidInput, NotPayable
from byline_service.compensation.replay import drafts
from byline_service.compensation.runs import RunConflict
from byline_service.compensation.timestamps import parse_timestamp
from byline_service.database.tables.compensation import run_steps
from byline_service.ledger import run_workflow, statement_queries
from tests.service.books import caller

SCORES = {"ash": (30, 31, 29), "birch": (60, 55, 62)}
POOL = 100_000
BUDGET = 1_000
"""Of policies that pay by event."""


def by_event(books, **changes):
    """A policy that pays 5 minor units an event, and no more than the budget in a month."""
    return books.policy(**{"pool": 5, "spread": "event", "budget": BUDGET} | changes)


def sound(books):
    """The whole journal recomputes to the byte."""
    assert books.verify().findings == []


class TestWeights:
    def test_a_heavy_event_is_not_paid_for(self, books):
        by_event(books)
        books.book(SCORES, weight=10**9)
        with pytest.raises(NotPayable) as refused:
            books.draft()
        assert refused.value.reasons == (Reason.TOO_HEAVY,)
        assert books.funded() == 0

    def test_where_a_policy_admits_it_the_budget_is_the_limit_and_the_rest_is_told(self, books):
        by_event(books, largest_weight=10**9)
        books.book(SCORES, weight=10**9)
        run_id = books.draft()
        assert books.warned(run_id) == [("budget_exceeded", 5 * 10**9 - BUDGET)]
        books.posted(run_id)
        assert books.funded() == BUDGET
        sound(books)

    def test_a_heavy_event_takes_nothing_from_the_others(self, books):
        books.policy()
        books.book({"ash": (1, 1, 1)})
        books.book({"thief": (1, 1, 1)}, weight=101)
        run_id = books.draft()
        assert books.warned(run_id) == [("refused", 1)]
        assert {line.owner for line in books.lines(run_id)} == {"ash"}


class TestPeriods:
    def test_three_runs_over_one_period_pay_its_pool_once(self, books):
        books.policy()
        for _ in range(3):
            books.book(SCORES)
        drafted = [books.draft(), books.draft(period="2026-03"), books.draft(period="2026-03")]
        books.posted(drafted[0])
        for run_id in drafted[1:]:
            books.approve(run_id)
            with pytest.raises(RunConflict):
                books.post(run_id)
        with pytest.raises(RunConflict, match="this one is paid"):
            books.draft(period="2026-03")
        assert books.funded() == POOL
        sound(books)

    def test_two_runs_of_disjoint_events_pay_a_period_once(self, books):
        """The second draft is of the policy before an event became payable, so that the runs share no event."""
        by_event(books, largest_weight=1)
        books.book(SCORES)
        books.book(SCORES, weight=2)
        first = books.draft()
        books.posted(first)
        by_event(books, largest_weight=2)
        with pytest.raises(RunConflict, match="this one is paid"):
            books.draft(period="2026-03")
        sound(books)

    @pytest.mark.parametrize(
        "period",
        [
            "2026-Q1",
            "2026",
            "2026-W10",
            "2026-03-10",
            "2026-3",
            "2026-13",
            "\uff12026-03",
            "2026-03\n",
            "0000-01",
        ],
    )
    def test_a_period_of_another_calendar_would_overlap(self, books, period):
        books.policy()
        books.book(SCORES)
        books.clock.to(2027, 1, 1)
        with pytest.raises(InvalidInput, match="expected period to be a month"):
            books.draft(period=period)

    def test_a_revision_cannot_change_the_calendar_the_group_or_the_currency(self, books):
        books.policy()
        for changes in ({"period": "week"}, {"period": "quarter"}, {"group": "another"}, {"currency": "JPY"}):
            with pytest.raises(RunConflict, match=f"expected the {next(iter(changes))}"):
                books.policy(**changes)
        sound(books)

    def test_an_unfinished_period_is_not_paid(self, books):
        books.policy()
        books.book(SCORES)
        for moment in ((2026, 3, 11), (2026, 3, 31, 23, 59, 59, 999_999)):
            books.clock.to(*moment)
            for period in ("2026-03", "2026-04", "2031-01"):
                with pytest.raises(InvalidInput, match="has ended"):
                    books.draft(period=period)
        books.clock.to(2026, 4, 1)
        books.posted(books.draft(period="2026-03"))
        sound(books)

    def test_a_clock_that_is_set_back_before_the_draft_is_written(self, books):
        books.policy()
        books.book(SCORES)
        books.clock.to(2026, 4, 1)
        prepared = books.used.run(
            lambda database: run_workflow.prepare_division(database, "allocation", "royalties", "2026-03")
        )
        books.clock.to(2026, 3, 31)
        with pytest.raises(InvalidInput, match="has ended"):
            books.do(run_workflow.draft, prepared)
        sound(books)


class TestLateEvents:
    def late(self, books, **terms):
        """Pay March, then admit an event of March that its run refused."""
        books.policy(**terms)
        books.book(SCORES)
        late = books.book({"cedar": (7, 7, 7)}, error_scope="within_checkpoint")
        books.posted(books.draft())
        books.policy(allow_within_checkpoint=True, **terms)
        return late

    def test_an_event_after_the_run_gets_no_second_pool(self, books):
        books.policy()
        books.book(SCORES)
        books.posted(books.draft())
        books.book({"thief": (1, 1, 1)})
        with pytest.raises(InvalidInput, match="has ended"):
            books.draft(period="2026-04")
        with pytest.raises(RunConflict, match="this one is paid"):
            books.draft(period="2026-03")
        assert books.funded() == POOL

    def test_a_late_event_shares_the_next_periods_pool_and_is_told(self, books):
        late = self.late(books)
        own = books.book(SCORES)
        run_id = books.draft()
        statement = books.statement(run_id)
        assert (statement.late, [each.id for each in statement.events]) == (1, [late.id, own.id])
        assert books.warned(run_id) == [("late", 1)]
        books.posted(run_id)
        assert books.funded() == 2 * POOL
        sound(books)

    def test_nothing_is_left_for_an_adjustment_of_a_pool(self, books):
        self.late(books)
        with pytest.raises(RunConflict, match="all of it is spent"):
            books.adjust("2026-03")
        sound(books)

    def test_a_larger_budget_afterwards_is_none_of_the_paid_period(self, books):
        self.late(books)
        books.policy(pool=10 * POOL, allow_within_checkpoint=True)
        with pytest.raises(RunConflict, match="all of it is spent"):
            books.adjust("2026-03")

    def test_an_adjustment_pays_within_what_the_budget_has_left(self, books):
        self.late(books, pool=600, spread="event", budget=BUDGET)
        run_id = books.adjust("2026-03")
        statement = books.statement(run_id)
        assert (statement.kind, statement.spent, statement.allocation.pool) == ("adjustment", 600, 400)
        assert books.warned(run_id) == [("budget_exceeded", 200)]
        books.posted(run_id)
        assert books.funded() == BUDGET
        with pytest.raises(InvalidInput, match="found none"):
            books.adjust("2026-03")
        sound(books)

    def test_two_adjustments_of_one_rest(self, books):
        self.late(books, pool=600, spread="event", budget=BUDGET)
        first, second = books.adjust("2026-03"), books.adjust("2026-03")
        books.posted(first)
        books.approve(second)
        with pytest.raises(RunConflict, match="paid for since"):
            books.post(second)
        sound(books)

    def test_a_reversed_run_leaves_no_more_than_its_adjustment_left(self, books):
        """The adjustment stays posted, the run is reversed and drafted again: both are within the budget."""
        self.late(books, pool=600, spread="event", budget=BUDGET)
        books.posted(books.adjust("2026-03"))
        (base, *_) = [run for run in books.read(statement_queries.page, None, 9) if run.kind == "allocation"]
        books.posted(books.do(run_workflow.reverse, base.id, "a mistake").id)
        assert books.funded() == 400
        again = books.draft(period="2026-03")
        assert books.statement(again).spent == 400
        books.posted(again)
        assert books.funded() == BUDGET
        sound(books)

    def test_an_adjustment_of_a_period_that_no_run_has_paid(self, books):
        by_event(books)
        books.book(SCORES)
        books.clock.end_month()
        with pytest.raises(RunConflict, match="this one is not"):
            books.adjust("2026-03")

    def test_an_adjustment_that_was_drafted_before_the_run_was_reversed(self, books):
        self.late(books, pool=600, spread="event", budget=BUDGET)
        adjusted = books.adjust("2026-03")
        books.approve(adjusted)
        (base, *_) = [run for run in books.read(statement_queries.page, None, 9) if run.kind == "allocation"]
        books.posted(books.do(run_workflow.reverse, base.id, "a mistake").id)
        with pytest.raises(RunConflict, match="this one is not"):
            books.post(adjusted)
        sound(books)


class TestPolicies:
    def test_a_second_policy_does_not_pay_the_same_events(self, books):
        books.policy()
        books.policy(name="bonus", currency="JPY", pool=10**9)
        books.book(SCORES)
        books.posted(books.draft())
        with pytest.raises(InvalidInput, match="policy royalties has paid for 1 of them"):
            books.draft("bonus", "2026-03")
        assert books.funded("bonus") == 0
        sound(books)

    def test_what_another_policy_paid_is_told_beside_the_rest(self, books):
        books.policy(indexes=("digits",))
        books.policy(name="all")
        books.book(SCORES)
        books.book(SCORES, index="others")
        books.posted(books.draft())
        run_id = books.draft("all", "2026-03")
        assert books.warned(run_id) == [("paid_elsewhere", 1, "royalties")]
        books.posted(run_id)
        sound(books)

    def test_an_event_of_another_group_is_told(self, books):
        books.policy()
        books.policy(name="training", group="training")
        books.book(SCORES)
        books.posted(books.draft())
        run_id = books.draft("training", "2026-03")
        assert books.warned(run_id) == [("paid_in_other_group", 1, "royalties")]
        books.posted(run_id)
        sound(books)

    def test_two_policies_of_a_group_at_once(self, books):
        """Both drafts were approved. One of them pays."""
        names = ("royalties", "bonus")
        for name in names:
            books.policy(name=name)
        books.book(SCORES)
        drafted = [books.draft(names[0]), books.draft(names[1], "2026-03")]
        for run_id in drafted:
            books.approve(run_id)

        async def at_once(database):
            async def post(run_id):
                async with database.begin() as transaction:
                    await run_workflow.post(transaction, caller("grace"), run_id)

            return await asyncio.gather(*map(post, drafted), return_exceptions=True)

        ended = books.used.run(at_once)
        assert sorted(type(each).__name__ for each in ended) == ["NoneType", "RunConflict"]
        assert books.funded(names[0]) + books.funded(names[1]) == POOL
        sound(books)

    def test_a_draft_of_a_revision_that_was_replaced(self, books):
        """An administrator lowers the pool. What was drafted before can neither be approved nor posted."""
        books.policy(pool=10 * POOL)
        books.book(SCORES)
        first, second = books.draft(), books.draft(period="2026-03")
        books.approve(first)
        books.policy(pool=1)
        with pytest.raises(RunConflict, match="revised since"):
            books.post(first)
        with pytest.raises(RunConflict, match="revised since"):
            books.approve(second)
        books.do(run_workflow.void, first)
        books.posted(books.draft(period="2026-03"))
        assert books.funded() == 1
        sound(books)


class TestDrafts:
    def test_a_policy_has_few_open_drafts(self, books):
        books.policy()
        books.book(SCORES)
        drafted = [books.draft(), *(books.draft(period="2026-03") for _ in range(4))]
        books.approve(drafted[0])
        with pytest.raises(RunConflict, match="at most 5 open runs"):
            books.draft(period="2026-03")
        books.do(run_workflow.void, drafted[1])
        books.draft(period="2026-03")
        sound(books)

    def test_void_drafts_are_not_recomputed(self, sqlite_books, monkeypatch):
        books = sqlite_books
        books.policy()
        books.book(SCORES)
        books.clock.end_month()
        for _ in range(61):
            books.do(run_workflow.void, books.draft(period="2026-03"))
        books.draft(period="2026-03")
        recomputed = []

        def counted(policy, found):
            recomputed.append(found.period.name)
            return draft_allocation(policy, found)

        draft_allocation = drafts.draft_allocation
        monkeypatch.setattr(drafts, "draft_allocation", counted)
        assert books.verify().findings == []
        assert recomputed == ["2026-03"]


class TestForgedRecords:
    def test_a_statement_that_was_not_computed(self, sqlite_books):
        """A service that writes what it likes is found by the recomputation."""
        books = sqlite_books
        by_event(books, largest_weight=1000)
        books.book(SCORES, weight=1000)
        drafted = books.statement(books.draft())
        changes = [
            {"spent": 1},
            {"budget": 2 * BUDGET},
            {"warnings": ()},
            {"late": 1},
            {"period": "2026-02"},
            {"kind": "adjustment"},
            {"allocation": drafted.allocation.model_copy(update={"pool": 2 * BUDGET})},
        ]
        for change in changes:
            run = books.do(run_workflow.draft, drafted.model_copy(update=change)).id
            assert any(
                "differs" in each.what or "expected" in each.what for each in books.verify().findings
            ), change
            books.do(run_workflow.void, run)
            sound(books)

    def test_a_void_that_only_a_table_has(self, sqlite_books):
        """It would keep a draft from its recomputation."""
        books = sqlite_books
        books.policy()
        books.book(SCORES)
        drafted = books.statement(books.draft())
        forged = drafted.model_copy(
            update={"allocation": drafted.allocation.model_copy(update={"pool": 2 * POOL})}
        )
        run = books.do(run_workflow.draft, forged).id

        async def void(transaction, who):
            at = parse_timestamp(drafted.until)
            row = {"run_id": run, "step": "void", "sequence": 2, "person": "ada", "at": at}
            await transaction.execute(insert(run_steps).values(row))

        books.do(void)
        assert any("run_steps" in each.where for each in books.verify().findings)


class TestHolds:
    """Attempts to be paid in spite of a hold, or to be paid more by one."""

    def test_a_run_of_before_the_hold_is_not_paid(self, books):
        books.policy()
        books.book(SCORES)
        drafted, approved = books.draft(), books.draft(period="2026-03")
        books.approve(approved)
        books.hold("ash", "dispute")
        for step, run_id in ((books.approve, drafted), (books.post, approved)):
            with pytest.raises(RunConflict, match="holds, disputes and consents"):
                step(run_id)
        assert books.funded() == 0
        sound(books)

    def test_a_release_of_before_the_hold_is_not_paid(self, books):
        books.policy()
        books.book(SCORES)
        books.posted(books.draft())
        release = books.release("a better version")
        books.approve(release)
        books.hold("ash")
        with pytest.raises(RunConflict, match="holds, disputes and consents"):
            books.post(release)
        books.posted(books.release("of the others"))
        assert set(books.account("escrow")) == {"ash"}
        sound(books)

    def test_a_hold_that_is_ended_and_placed_again_is_another_one(self, books):
        hold = books.hold("ash")
        books.policy()
        books.book(SCORES)
        books.posted(books.draft())
        part = books.release("agreed", {"ash": 7}, account="held")
        books.approve(part)
        books.end_hold(hold)
        books.hold("ash", "dispute")
        with pytest.raises(RunConflict, match="holds, disputes and consents"):
            books.post(part)
        assert "ash" not in books.account("payable")
        sound(books)

    def test_nobody_gets_more_by_a_hold_of_another(self, books):
        books.policy(floor=20_000)
        books.book(SCORES)
        free = {line.owner: line for line in books.lines(books.draft())}
        books.hold("birch")
        bound = {line.owner: line for line in books.lines(books.draft(period="2026-03"))}
        assert bound["ash"] == free["ash"]
        assert bound["birch"].held == free["birch"].earned

    def test_held_amounts_are_released_once(self, books):
        hold = books.hold("ash")
        books.policy()
        books.book(SCORES)
        books.posted(books.draft())
        books.end_hold(hold)
        held = books.account("held")["ash"]
        for account, amounts in (("held", {"ash": held + 1}), ("held", {"birch": 1}), ("escrow", {"oak": 1})):
            with pytest.raises(RunConflict, match="at most"):
                books.release("more", amounts, account=account)
        first, second = (books.release("agreed", account="held") for _ in range(2))
        books.approve(second)
        books.posted(first)
        with pytest.raises(RunConflict, match="enough"):
            books.post(second)
        with pytest.raises(RunConflict, match="found none"):
            books.release("again", account="held")
        assert books.account("payable")["ash"] == held
        assert books.funded() == POOL
        sound(books)

    def test_a_hold_does_not_lift_the_floor(self, books):
        books.policy(floor=POOL)
        books.book(SCORES)
        books.posted(books.draft())
        carried = books.account("carried")["ash"]
        books.hold("ash")
        books.policy(floor=0)
        books.book({"birch": (1, 1, 1)})
        books.posted(books.draft())
        assert (books.account("carried"), books.account("held")) == ({"ash": carried}, {})
        sound(books)

    def test_a_release_of_all_leaves_out_owners_under_a_hold(self, books):
        books.hold("ash")
        books.policy()
        books.book(SCORES)
        books.posted(books.draft())
        with pytest.raises(RunConflict, match="name the amounts"):
            books.release("all", account="held")
        books.posted(books.release("all"))
        assert set(books.account("escrow")) == {"ash"}
        sound(books)
