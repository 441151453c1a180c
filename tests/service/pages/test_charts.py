"""Places in charts, against what the numbers mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byline_service.pages.charts import HEIGHT, WIDTH, Entry, bars, columns, gauge, nice_top, stacked_bar

FINITE = st.floats(-1e9, 1e9, allow_nan=False)
EXACT = 0.02  # places are rounded to hundredths


def test_bars_of_one_sign_have_the_whole_width_and_lengths_are_in_proportion():
    first, second = bars([Entry("a", 4.0), Entry("b", 1.0)])
    assert (first.zero, second.zero) == (1.0, 1.0)
    assert first.width == WIDTH - 2
    assert second.width == pytest.approx(first.width / 4, abs=EXACT)


def test_bars_of_both_signs_share_a_zero():
    plus, minus = bars([Entry("a", 3.0), Entry("b", -1.0)])
    assert plus.x == plus.zero == minus.zero
    assert minus.x + minus.width == pytest.approx(minus.zero, abs=EXACT)
    assert plus.x + plus.width == pytest.approx(WIDTH - 1, abs=EXACT)
    assert minus.width == pytest.approx(plus.width / 3, abs=EXACT)


@given(st.lists(FINITE, min_size=1, max_size=30))
def test_every_mark_stays_inside_the_box(drawn):
    for bar in bars([Entry("x", value) for value in drawn]):
        assert bar.width >= 0
        assert 1 <= bar.x <= bar.x + bar.width <= WIDTH - 1 + EXACT


def test_a_stacked_bar_puts_small_parts_together_and_fills_the_width():
    segments = stacked_bar(
        [(name, size) for name, size in zip("abcdefgh", (1, 9, 8, 7, 6, 5, 4, 0), strict=True)]
    )
    assert [each.label for each in segments] == ["b", "c", "d", "e", "f", "others"]
    assert [each.color for each in segments] == [1, 2, 3, 4, 5, 6]
    assert sum(each.share for each in segments) == pytest.approx(1)
    assert segments[-1].x + segments[-1].width == pytest.approx(WIDTH, abs=EXACT)
    assert stacked_bar([("a", 0)]) == []


def test_columns_stand_on_the_ground_below_a_round_number():
    drawn, top = columns([("mon", 7.0), ("tue", 0.0)])
    assert top == 10.0
    assert drawn[0].y + drawn[0].height == pytest.approx(HEIGHT)
    assert drawn[0].height == pytest.approx(70)
    assert drawn[1].height == 0
    assert columns([]) == ([], 1.0)


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (0.3, 1), (1, 1), (1.2, 2), (24, 25), (26, 50), (99, 100), (1001, 2000)]
)
def test_the_top_is_the_next_round_number(value, top):
    assert nice_top(value) == top


def test_a_gauge_goes_from_0_to_1_and_wider_where_it_must():
    drawn = gauge(0.5, (0.4, 0.6), 0.9)
    assert (drawn.value, drawn.low, drawn.high, drawn.ceiling) == (100, 80, 120, 180)
    below = gauge(-0.5, None, None)
    assert (below.start, below.end, below.value, below.low) == (-0.5, 1.0, 0.0, None)
