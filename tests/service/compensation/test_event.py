"""Scores are kept as integers of one scale."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byline.errors import NonFiniteGradient
from byline_service.compensation.fixed_point import BITS, fixed_point

FINITE = st.floats(allow_nan=False, allow_infinity=False)


class TestFixedPoint:
    @given(st.dictionaries(st.text(max_size=3), st.lists(FINITE, min_size=2, max_size=2), min_size=1))
    @settings(deadline=None)
    def test_rounding_is_as_small_as_documented(self, scores):
        scale, found = fixed_point(scores)
        largest = max(abs(Fraction(score)) for row in scores.values() for score in row)
        for owner, row in scores.items():
            for score, n in zip(row, found[owner], strict=True):
                assert abs(n) <= 2**BITS
                assert abs(Fraction(score) - n * Fraction(2) ** -scale) <= largest / 2**BITS

    @given(st.floats(0.001, 1000), st.integers(-20, 20))
    @settings(deadline=None)
    def test_a_power_of_two_moves_the_scale_alone(self, score, exponent):
        scale, found = fixed_point({"a": [score, 1.0]})
        assert fixed_point({"a": [score * 2.0**exponent, 2.0**exponent]}) == (scale - exponent, found)

    def test_nothing_and_what_is_not_finite(self):
        assert fixed_point({"a": [0.0, 0.0]}) == (0, {"a": (0, 0)})
        for wrong in (float("nan"), float("inf")):
            with pytest.raises(NonFiniteGradient):
                fixed_point({"a": [1.0, wrong]})
