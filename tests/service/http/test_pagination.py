import pytest

from byline.errors import InvalidQuery
from byline_service.http.pagination import cursor, row_of_cursor


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
