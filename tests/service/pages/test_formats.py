"""Numbers, times and cells as pages write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from starlette.requests import Request

from byline_service.pages import formats
from byline_service.pages.csv import csv_response


def test_numbers_carry_their_exact_value_for_the_readers_locale():
    assert formats.number(1234567) == '<data value="1234567" data-digits="0">1,234,567</data>'
    assert formats.percent(0.1234) == '<data value="0.1234" data-digits="1" data-style="percent">12.3%</data>'
    assert "\u2212" in formats.number(-3)
    assert "none" in formats.number(None)


def test_money_is_exact_beyond_what_a_float_holds():
    written = formats.money(12345678901234567890123, "EUR")
    assert 'value="123456789012345678901.23"' in written
    assert ">EUR 123,456,789,012,345,678,901.23<" in written
    assert 'value="5"' in formats.money(5, "JPY", 0)
    assert 'value="-0.05"' in formats.money(-5, "EUR")


def test_times_are_iso_and_utc():
    local = datetime(2026, 1, 31, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert ">2026-01-30 23:30 UTC<" in formats.moment(local)
    assert formats.moment(local.astimezone(UTC)) == formats.moment(local)
    assert ">2026-01-31<" in formats.day(local.date())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1234.56, "1,235"),
        (11453.2, "11,450"),
        (0.0012345, "0.001234"),
        (-2.5e-7, "\u22122.50e\u221207"),
        (None, "\u2013"),
    ],
)
def test_scores_are_short(value, text):
    assert formats.short(value) == text


def test_what_is_written_is_escaped():
    assert formats.code("a `<b>` <c>") == "a <code>&lt;b&gt;</code> &lt;c&gt;"
    assert "<x>" not in formats.money(1, "<x>")


def test_cells_of_a_file_are_never_formulas():
    request = Request({"type": "http", "headers": []})
    written = csv_response(request, "x", ("owner", "n"), [("=1+1", -2), ("a,b", None)]).body.decode()
    assert written == '\ufeffowner,n\r\n\'=1+1,-2\r\n"a,b",\r\n'
