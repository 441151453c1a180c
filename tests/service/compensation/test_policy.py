"""The small parts: currencies, integers for scores, policies, and what is kept of an answer."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byline.api.compensation import MinimumQuality, Reason
from byline.api.currencies import MINOR_DIGITS
from byline.api.receipts import QualityFigure
from byline.errors import InvalidInput, NotPayable
from byline_service.compensation.money import format_minor, minor_digits
from byline_service.compensation.policy import require_admitted, student_multiplier
from byline_service.compensation.timestamps import parse_timestamp, timestamp_text
from byline_service.pages.formats import plain_amount
from tests.service.compensation.reference import event, policy


class TestMoney:
    def test_amounts_of_every_number_of_digits(self):
        assert [format_minor(1234567, code) for code in ("JPY", "EUR", "KWD", "CLF")] == [
            "1234567",
            "12345.67",
            "1234.567",
            "123.4567",
        ]
        assert [format_minor(n, "EUR") for n in (0, 5, -5, 100, -123456)] == [
            "0.00",
            "0.05",
            "-0.05",
            "1.00",
            "-1234.56",
        ]
        assert (plain_amount(-123456789, "EUR"), plain_amount(1234, "JPY")) == ("-1,234,567.89", "1,234")
        assert len(MINOR_DIGITS) == 165
        with pytest.raises(InvalidInput, match="ISO 4217"):
            minor_digits("eur")

    @given(st.integers(-(10**18), 10**18), st.sampled_from(sorted(MINOR_DIGITS)))
    @settings(deadline=None)
    def test_what_is_written_is_the_amount(self, amount, currency):
        assert Fraction(format_minor(amount, currency)) * 10 ** minor_digits(currency) == amount


class TestPolicy:
    def test_the_multiplier_is_students_rounded_up(self):
        tables = {
            2: 63_138,
            3: 29_200,
            4: 23_534,
            9: 18_596,
            31: 16_973,
        }  # t at .95 to four decimals, rounded up
        assert {units: student_multiplier(950, units) for units in tables} == tables
        assert student_multiplier(500, 4) == 0
        assert student_multiplier(999, 2) == 3_183_089

    def test_each_event_has_the_bound_of_its_own_units(self):
        few, many = event({"a": (1, 2)}, units=(0, 1)), event({"a": (1, 2, 3, 4)}, units=(0, 0, 1, 2))
        assert [policy().z(each) for each in (few, many)] == [
            Fraction(63_138, 10_000),
            Fraction(29_200, 10_000),
        ]
        assert policy(multiplier=15_000).z(few) == Fraction(3, 2)
        for wrong in ({"confidence": None}, {"confidence": 950, "multiplier": 15_000}):
            with pytest.raises(ValueError, match="confidence or a multiplier"):
                policy(**wrong)

    @pytest.mark.parametrize(
        ("pins", "changes", "reasons"),
        [
            ({}, {"asked": "query_set"}, ()),
            ({}, {"asked": "gradient", "target": None}, (Reason.NOT_ADMITTED,)),
            ({}, {"asked": "feature", "target": None}, (Reason.NOT_ADMITTED,)),
            ({"asked": ("feature",)}, {"asked": "feature", "target": None}, ()),
            ({"asked": ("feature",)}, {}, (Reason.NOT_ADMITTED,)),
            ({"targets": ("margin", "loss")}, {}, ()),
            ({"targets": ("loss",)}, {}, (Reason.OTHER_TARGET,)),
            (
                {"targets": ("margin",), "asked": ("gradient",)},
                {"asked": "gradient", "target": None},
                (Reason.OTHER_TARGET,),
            ),
            ({"recipes": ("b" * 64,)}, {}, ()),
            ({"recipes": ("c" * 64,)}, {}, (Reason.OTHER_RECIPE,)),
        ],
    )
    def test_what_a_policy_does_not_admit_is_refused(self, pins, changes, reasons):
        assert policy(**pins).refusals(event({"a": (1, 2, 3)}, **changes)) == reasons

    def test_a_form_is_admitted_by_a_policy_that_covers_the_index(self):
        others = [policy(indexes=("faces",), asked=("feature",)), policy()]
        for form in ("query", "query_set"):
            require_admitted([], "digits", form)
        for form in ("gradient", "feature"):
            with pytest.raises(NotPayable, match="not_admitted"):
                require_admitted(others, "digits", form)
        require_admitted([*others, policy(asked=("feature",))], "digits", "feature")

    @pytest.mark.parametrize(
        ("quality", "wanted", "reasons"),
        [
            (None, MinimumQuality(millionths=0), (Reason.NO_QUALITY,)),
            ((0.5, 0.3), MinimumQuality(millionths=300_000), ()),
            ((0.5, 0.3), MinimumQuality(millionths=300_001), (Reason.LOW_QUALITY,)),
            ((0.5, 0.3), MinimumQuality(millionths=500_000, by="value"), ()),
            ((0.5, None), MinimumQuality(millionths=0), (Reason.NO_QUALITY,)),
            ((0.5, 0.3), MinimumQuality(metric="loo", millionths=0), (Reason.NO_QUALITY,)),
            (None, None, ()),
        ],
    )
    def test_quality(self, quality, wanted, reasons):
        figure = None if quality is None else QualityFigure.of("lds", "margin", *quality)
        booked = event({"a": (1, 2, 3)}, quality=figure)
        assert policy(minimum_quality=wanted).refusals(booked) == reasons

    def test_every_other_reason(self):
        booked = event({"a": (1, 2, 3)}, searched=9, error_scope=None)
        assert policy().refusals(booked, {booked.id}) == (
            Reason.INCOMPLETE_COVERAGE,
            Reason.NO_INTERVAL,
            Reason.REPEATED_REFERENCE,
        )
        assert Reason.REPEATED_REFERENCE not in policy(unique_references=False).refusals(booked, {booked.id})
        assert policy().refusals(event({"a": (1, 2)}, units=(0, 0))) == (Reason.NO_INTERVAL,)
        within = event({"a": (1, 2, 3)}, error_scope="within_checkpoint")
        assert policy().refusals(within) == (Reason.WITHIN_CHECKPOINT,)
        assert policy(allow_within_checkpoint=True).refusals(within) == ()

    def test_weights(self):
        heavy = event({"a": (1, 2, 3)}, weight=101)
        assert policy().refusals(heavy) == (Reason.TOO_HEAVY,)
        assert policy(largest_weight=101).refusals(heavy) == ()

    def test_the_pool_is_the_budget_of_a_period(self):
        with pytest.raises(ValueError, match="budget"):
            policy(pool=5, budget=6)
        assert policy(pool=5).wanted(7) == 5
        assert policy(pool=5, spread="event", budget=6).wanted(7) == 35


class TestMoments:
    def test_what_sorts_as_text_sorts_in_time(self):
        first = datetime(999, 1, 1, tzinfo=UTC)
        moments = [first, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)]
        texts = [timestamp_text(moment) for moment in moments]
        assert texts == sorted(texts)
        assert [parse_timestamp(text) for text in texts] == moments
