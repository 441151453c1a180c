"""Files that a spreadsheet opens right, by the rules of its import: separator, decimal sign, formulas."""

import csv
import io
from decimal import Decimal

import pytest

from byline_service.http.csv_cells import CsvForm, csv_cell, csv_form

COMMA = CsvForm(separator=";", decimal_comma=True)


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "|cmd", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20SUM",
     "\ufe661", "\ufe621",
     "  =1", "\u200b=1", "\ufeff\uff1d1", "\u3000=1", "\u00a0\uff20x", "\ufe631", "\u00ad+1"],
)  # fmt: skip
def test_text_that_a_spreadsheet_would_compute(text):
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["Ash", "a=b", "a-b", "Österreich", 12, -7, "3", "é", "数"])
def test_other_values_stay(value):
    assert csv_cell(value) == value
    assert csv_cell(None) == ""


@pytest.mark.parametrize(
    ("languages", "form"),
    [
        (None, CsvForm()),
        ("", CsvForm()),
        ("*", CsvForm()),
        ("en-GB,de;q=0.5", CsvForm()),
        ("de-CH", CsvForm()),
        ("es-MX", CsvForm()),
        ("zh-Hant-TW", CsvForm()),
        ("ja", CsvForm()),
        ("de", COMMA),
        ("DE-de,en;q=0.5", COMMA),
        ("fr-FR", COMMA),
        ("es-419", COMMA),
        ("sr-Latn-RS", COMMA),
    ],
)
def test_the_form_follows_the_first_language(languages, form):
    assert csv_form(languages) == form


@pytest.mark.parametrize("form", [CsvForm(), COMMA])
def test_a_spreadsheet_of_the_readers_language_reads_amounts_and_text(form):
    amounts = [Decimal("-1000.00"), Decimal("0.05"), Decimal("1E+3")]
    written = form.lines([("owner; or, so", *amounts, 0.5, None), ('"q"', 1, 2, 3, 4, "\uff1d1")])
    rows = list(csv.reader(io.StringIO(written), delimiter=form.separator))
    mark = "," if form.decimal_comma else "."
    assert [Decimal(each.replace(mark, ".")) for each in rows[0][1:5]] == [*amounts, Decimal("0.5")]
    assert (rows[0][0], rows[0][5], rows[1][0], rows[1][5]) == ("owner; or, so", "", '"q"', "'\uff1d1")


def test_a_file_over_http_follows_the_browser(served):
    client = served.client
    german = client.get("/compensation/ledger.csv", headers={"accept-language": "de-AT,de;q=0.9"})
    assert german.content.startswith(b"\xef\xbb\xbfsequence;line;run;")
    assert german.headers["vary"] == "Accept-Language"
    assert client.get("/compensation/ledger.csv").content.startswith(b"\xef\xbb\xbfsequence,line,run,")
