"""Rosters, training pools and fallbacks in the ledger: they recompute to the byte, and nobody gets more by them."""

import pytest

from byline.api.compensation import Reason
from byline.errors import Conflict, InvalidInput, NotPayable
from byline_service.compensation.bundle import bundle_findings
from byline_service.compensation.runs import RunConflict
from byline_service.ledger import roster_queries
from byline_service.ledger.bundles import read_bundle

SCORES = {"ash": (30, 31, 29), "birch": (60, 55, 62)}
SIZES = {"ash": 3, "birch": 1}
TRAINING = {"name": "training", "pool": 1_000, "basis": "training", "indexes": ("digits",)}
DOUBTED = {"error_scope": "within_checkpoint"}


@pytest.fixture
def books(sqlite_books):
    return sqlite_books


def sound(books):
    assert books.verify().findings == []


def earned(books, run_id):
    return {line.owner: line.earned for line in books.lines(run_id)}


class TestTrainingPool:
    def pool(self, books, fallback="by_size", **terms):
        books.policy(**TRAINING | {"fallback": fallback} | terms)

    def test_a_pool_needs_no_events(self, books):
        self.pool(books)
        books.roster(SIZES)
        run_id = books.draft("training")
        assert earned(books, run_id) == {"ash": 750, "birch": 250}
        assert bundle_findings(books.read(read_bundle, run_id)) == []
        books.posted(run_id)
        assert books.funded("training") == 1_000
        sound(books)

    def test_a_period_is_paid_once(self, books):
        self.pool(books, "equal")
        books.roster(SIZES)
        first, second = books.draft("training"), books.draft("training", "2026-03")
        books.posted(first)
        books.approve(second)
        with pytest.raises(RunConflict):
            books.post(second)
        for kind in ("allocation", "adjustment"):
            with pytest.raises((RunConflict, InvalidInput)):
                books.draft("training", "2026-03", kind=kind)
        assert books.funded("training") == 1_000
        sound(books)

    def test_owners_that_are_recorded_after_the_period_get_nothing_of_it(self, books):
        self.pool(books)
        books.roster(SIZES)
        books.clock.to(2026, 4, 2)
        books.roster({"thief": 10**6, "ash": 1}, version="another")
        march, april = books.draft("training", "2026-03"), books.draft("training")
        assert earned(books, march) == {"ash": 750, "birch": 250}
        assert "thief" in earned(books, april)
        sound(books)

    def test_without_a_roster_nothing_is_drafted(self, books):
        self.pool(books)
        books.roster(SIZES, index="shapes")
        with pytest.raises(InvalidInput, match="rosters"):
            books.draft("training")

    def test_a_revision_does_not_turn_usage_into_training(self, books):
        books.policy()
        with pytest.raises(RunConflict, match="basis"):
            books.policy(basis="training", fallback="equal", indexes=("digits",))

    def test_a_training_pool_admits_no_events(self, books):
        """A feature is booked only where a policy pays for it."""
        self.pool(books, asked=("feature",))
        with pytest.raises(NotPayable):
            books.book(SCORES, asked="feature")

    def test_amounts_under_a_hold_wait(self, books):
        self.pool(books)
        books.roster(SIZES)
        books.hold("ash")
        books.posted(books.draft("training"))
        assert books.account("held", "training") == {"ash": 750}
        sound(books)


class TestFallback:
    def test_unreliable_events_are_divided_and_told(self, books):
        books.policy(fallback="equal", targets=("margin",))
        books.book(SCORES, **DOUBTED)
        run_id = books.draft()
        assert earned(books, run_id) == {"ash": 50_000, "birch": 50_000}
        assert books.warned(run_id) == [("fallback", 1)]
        assert books.statement(run_id).events[0].doubts == (Reason.WITHIN_CHECKPOINT,)
        assert bundle_findings(books.read(read_bundle, run_id)) == []
        books.posted(run_id)
        sound(books)

    def test_an_event_without_an_interval_is_booked_for_a_fallback_alone(self, books):
        lone = {"scores": {"ash": (1,), "birch": (3,)}, "units": (0,), "error_scope": None}
        books.policy()
        with pytest.raises(NotPayable) as refused:
            books.book(**lone)
        assert refused.value.reasons == (Reason.NO_INTERVAL,)
        books.policy(fallback="hold", targets=("margin",))
        books.book(**lone)
        run_id = books.draft()
        assert books.warned(run_id) == [("fallback", 1), ("held", 100_000)]
        books.posted(run_id)
        assert books.account("payable") == {}
        books.posted(books.release("the card is known now", account="held"))
        assert books.account("payable") == {"ash": 25_000, "birch": 75_000}
        sound(books)

    def test_by_size_waits_for_the_owners_of_the_version(self, books):
        books.policy(fallback="by_size", targets=("margin",))
        books.book(SCORES, **DOUBTED)
        with pytest.raises(NotPayable) as refused:
            books.draft()
        assert refused.value.reasons == (Reason.NO_ROSTER,)
        books.roster({"thief": 9}, version="another")
        with pytest.raises(NotPayable):
            books.draft(period="2026-03")
        books.roster(SIZES)
        run_id = books.draft(period="2026-03")
        assert earned(books, run_id) == {"ash": 75_000, "birch": 25_000}
        assert bundle_findings(books.read(read_bundle, run_id)) == []
        sound(books)

    def test_a_target_without_a_measurement_is_no_way_to_an_equal_share(self, books):
        quality = {"metric": "lds", "millionths": 100_000}
        books.policy(
            fallback="equal", targets=("margin",), minimum_quality=quality, asked=("query", "feature")
        )
        for changes in ({"target": "unmeasured"}, {"target": None, "asked": "feature"}):
            books.book({"ash": (90, 91, 92), "thief": (1, 1, 1)}, **changes)
        with pytest.raises(NotPayable) as refused:
            books.draft()
        assert set(refused.value.reasons) == {Reason.OTHER_TARGET}

    def test_a_fallback_pays_an_event_once_and_within_the_budget(self, books):
        books.policy(fallback="equal", targets=("margin",), pool=600, spread="event", budget=1_000)
        for _ in range(2):
            books.book(SCORES, **DOUBTED)
        run_id = books.draft()
        assert books.warned(run_id) == [("budget_exceeded", 200), ("fallback", 2)]
        books.posted(run_id)
        with pytest.raises(InvalidInput, match="found none"):
            books.draft()
        assert books.funded() == 1_000
        sound(books)

    def test_a_later_revision_does_not_pay_an_event_again(self, books):
        books.policy(fallback="hold", targets=("margin",))
        books.book(SCORES, **DOUBTED)
        books.posted(books.draft())
        books.policy(allow_within_checkpoint=True)
        with pytest.raises(InvalidInput, match="found none"):
            books.draft()
        sound(books)


def test_a_roster_is_recorded_once(books):
    first = books.roster(SIZES)
    with pytest.raises(Conflict, match="nothing to do"):
        books.roster(SIZES)
    second = books.roster(SIZES, version="another")
    found = books.read(roster_queries.page, "digits", None, 9)
    assert found == [second, first]
    assert books.read(roster_queries.page, "digits", second.sequence, 9) == [first]
    assert books.read(roster_queries.page, "shapes", None, 9) == []
    sound(books)
