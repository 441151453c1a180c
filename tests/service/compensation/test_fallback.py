"""Events without reliable attribution, and training pools, against fractions by hand."""

from fractions import Fraction

import pytest
from pydantic import ValidationError

from byline.api.compensation import Reason
from byline_service.compensation.allocation import allocate, allocate_training
from byline_service.compensation.restrictions import Restrictions
from byline_service.compensation.rosters import Roster
from tests.service.compensation.reference import amounts, event, hamilton, policy
from tests.service.compensation.test_restrictions import restriction

SCORES = {"ash": (30, 31, 29), "birch": (60, 55, 62), "elm": (-5, -4, -6)}
ROSTER = Roster(
    index="digits", version="0123456789ab", manifest="a" * 64, sizes={"ash": 6, "birch": 3, "oak": 1}
)
TERMS = {"targets": ("margin",), "pool": 9_999}
QUALITY = {"minimum_quality": {"metric": "lds", "millionths": 100_000}}


def paid(allocation):
    return {line.owner: line.earned for line in allocation.lines if line.earned}


def divide(fallback, events, restrictions=(), **terms):
    rules = policy(**TERMS | {"fallback": fallback} | terms)
    return allocate(rules, events, {}, None, Restrictions(restrictions), [ROSTER])


class TestEvents:
    def test_equal(self):
        found = divide("equal", [event(SCORES, error_scope="within_checkpoint")])
        assert paid(found) == {"ash": 3_333, "birch": 3_333, "elm": 3_333}
        assert not any(line.escrow for line in found.lines)

    def test_by_size(self):
        found = divide("by_size", [event(SCORES)], **QUALITY)
        exact = {owner: Fraction(9_999 * size, 10) for owner, size in ROSTER.sizes.items()}
        assert paid(found) == hamilton(exact, 9_999)

    def test_hold_holds_the_attributed_shares(self):
        found = divide("hold", [event({"ash": (1,), "birch": (3,)}, units=(0,), error_scope=None)])
        assert {line.owner: (line.held, line.payable) for line in found.lines} == {
            "ash": (2_500, 0),
            "birch": (7_499, 0),
        }

    def test_reliable_events_beside_them_are_divided_by_attribution(self):
        reliable, other = event(SCORES), event(SCORES, error_scope="within_checkpoint")
        rules = policy(**TERMS | {"fallback": "equal", "pool": 2 * 10**9})
        found = allocate(rules, [reliable, other], {})
        by_attribution, _, _ = amounts(policy(pool=10**9), [reliable])
        for owner, amount in by_attribution.items():
            assert abs(paid(found)[owner] - (amount + 10**9 / 3)) < 2

    def test_an_event_without_a_positive_sum_is_divided_too(self):
        scores = {"ash": (-1,), "birch": (-3,)}
        one = event(scores, units=(0,), error_scope=None)
        assert paid(divide("equal", [one])) == {"ash": 5_000, "birch": 4_999}
        assert divide("hold", [one]).unallocated == 9_999

    def test_a_hold_holds_amounts_of_the_fallback(self):
        found = divide("equal", [event(SCORES, error_scope="within_checkpoint")], [restriction("ash")])
        assert [(line.owner, line.held) for line in found.lines if line.held] == [("ash", 3_333)]


class TestTrainingPool:
    def divide(self, fallback, *restrictions, **terms):
        rules = policy(
            **{"pool": 1_001, "basis": "training", "fallback": fallback, "indexes": ("digits",)} | terms
        )
        until = "2026-04-01T00:00:00.000000Z"
        return allocate_training(rules, ROSTER, until, {}, Restrictions(restrictions))

    def test_equal_and_by_size(self):
        assert paid(self.divide("equal")) == {"ash": 334, "birch": 334, "oak": 333}
        assert paid(self.divide("by_size")) == {"ash": 601, "birch": 300, "oak": 100}

    def test_the_floor_carries(self):
        lines = {line.owner: line for line in self.divide("by_size", floor=200).lines}
        assert (lines["oak"].payable, lines["oak"].carried) == (0, 100)

    def test_restrictions_before_the_end_of_the_period_hold(self):
        early = restriction("ash", since="2026-03-31T00:00:00.000000Z", index="digits")
        late = restriction("birch", since="2026-05-01T00:00:00.000000Z", index="digits")
        lines = self.divide("equal", early, late).lines
        assert [(line.owner, line.held) for line in lines if line.held] == [("ash", 334)]


class TestPolicy:
    def test_only_doubts_about_the_attribution_are_answered(self):
        rules = policy(fallback="equal", targets=("margin",), largest_weight=2, **QUALITY)
        doubtful = event(SCORES, error_scope="within_checkpoint")
        assert rules.doubts(doubtful) == (Reason.WITHIN_CHECKPOINT, Reason.NO_QUALITY)
        assert rules.refusals(doubtful) == ()
        others = event(SCORES, target="other", weight=3, asked="feature", searched=9)
        assert set(rules.refusals(others)) == {
            Reason.OTHER_TARGET,
            Reason.TOO_HEAVY,
            Reason.NOT_ADMITTED,
            Reason.INCOMPLETE_COVERAGE,
        }
        assert policy().doubts(doubtful) == ()

    @pytest.mark.parametrize(
        "terms",
        [
            {"fallback": "equal"},
            {"basis": "training", "indexes": ("digits",)},
            {"basis": "training", "fallback": "hold", "indexes": ("digits",)},
            {"basis": "training", "fallback": "equal"},
            {"basis": "training", "fallback": "equal", "indexes": ("a", "b")},
            {"basis": "training", "fallback": "equal", "indexes": ("a",), "spread": "event"},
        ],
    )
    def test_terms_that_do_not_fit(self, terms):
        with pytest.raises(ValidationError):
            policy(**terms)
