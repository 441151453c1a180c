from datetime import date

import pytest

from byline.errors import InvalidQuery
from byline_service.http.pagination import Number, Text, cursor, cut, place_of, row_of_cursor


def test_a_cursor_leads_back_to_its_row():
    assert row_of_cursor(None, "abc", 10) is None
    for row in (0, 9):
        assert row_of_cursor(cursor("abc", row), "abc", 10) == row


@pytest.mark.parametrize(
    "text",
    ["", "!", "é", "abc", cursor("abc", 10), cursor("abc", -1), cursor("other", 1), cursor("abc", 10**30)],
)
def test_anything_else_is_refused(text):
    with pytest.raises(InvalidQuery):
        row_of_cursor(text, "abc", 10)


def test_a_place_keeps_the_types_of_its_list():
    assert place_of(cursor("2026-12-01", "é~", "a"), tuple[date, Text, Text]) == (
        date(2026, 12, 1),
        "é~",
        "a",
    )
    assert place_of(cursor(5), tuple[Number]) == (5,)
    for other in (cursor("5"), cursor(5, 6), cursor(), cursor(1 << 63)):
        with pytest.raises(InvalidQuery):
            place_of(other, tuple[Number])
    with pytest.raises(InvalidQuery):
        place_of(cursor("a\0"), tuple[Text])


def test_a_page_is_cut_and_only_a_further_entry_gives_a_cursor():
    assert cut([1, 2], 2, lambda each: (each,)) == ([1, 2], None)
    assert cut([1, 2, 3], 2, lambda each: (each,)) == ([1, 2], cursor(2))
    assert cut([], 2, lambda each: (each,)) == ([], None)
