"""CSV files that spreadsheets open right.

They have the byte order mark of UTF-8, the separator of the reader's language, amounts as numbers, and text that is never
computed. Where people write a decimal comma, spreadsheets split CSV files at semicolons. `Accept-Language` decides:

    en, none     `,` and 12.34
    de, fr, …    `;` and 12,34
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

BYTE_ORDER_MARK = "\ufeff"
"""First character of a file. Spreadsheets take a file without it for one of an old code page."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|")
"""First characters of text that a spreadsheet computes as a formula, after full-width forms are folded."""
_POINT_REGIONS = {
    "es": ("mx", "us", "pr", "gt", "hn", "ni", "sv", "do", "pa"),
    "de": ("ch", "li"),
    "it": ("ch",),
}
"""Regions with a decimal point of languages that have a comma elsewhere."""
_COMMA = frozenset(
    [
        "af",
        "az",
        "be",
        "bg",
        "bs",
        "ca",
        "cs",
        "da",
        "de",
        "el",
        "es",
        "et",
        "eu",
        "fi",
        "fo",
        "fr",
        "gl",
        "hr",
        "hu",
        "hy",
        "id",
        "is",
        "it",
        "ka",
        "kk",
        "ky",
        "lt",
        "lv",
        "mk",
        "mn",
        "nb",
        "nl",
        "nn",
        "no",
        "pl",
        "pt",
        "ro",
        "ru",
        "sk",
        "sl",
        "sq",
        "sr",
        "sv",
        "tg",
        "tk",
        "tr",
        "uk",
        "uz",
        "vi",
    ]
)
"""Languages with a decimal comma."""
_LANGUAGE = re.compile(r"\s*([a-zA-Z]{2,3})(?:-[a-zA-Z]{4})?(?:-([a-zA-Z]{2}))?")


@dataclass(frozen=True)
class CsvForm:
    """The form of a CSV file."""

    separator: str = ","
    """Character between the cells."""
    decimal_comma: bool = False
    """Whether amounts have a decimal comma."""

    def lines(self, rows: Iterable[Sequence[object]]) -> str:
        """Write rows by RFC 4180, with this separator.

        Args:
            rows: Values of the cells. None is an empty cell, and a `Decimal` is an amount. Numbers are no text.
        """
        file = io.StringIO()
        writer = csv.writer(file, delimiter=self.separator)
        writer.writerows([self._cell(each) for each in row] for row in rows)
        return file.getvalue()

    def _cell(self, value: object) -> object:
        if isinstance(value, Decimal | float):
            written = f"{value:f}" if isinstance(value, Decimal) else str(value)
            return written.replace(".", ",") if self.decimal_comma else written
        return csv_cell(value)


def csv_form(accept_language: str | None) -> CsvForm:
    """Return the form for a reader.

    Args:
        accept_language: Header of the request. The first language counts.
    """
    found = _LANGUAGE.match(accept_language or "")
    if found is None:
        return CsvForm()
    language, region = found[1].lower(), (found[2] or "").lower()
    if language not in _COMMA or region in _POINT_REGIONS.get(language, ()):
        return CsvForm()
    return CsvForm(separator=";", decimal_comma=True)


def csv_cell(value: object) -> object:
    """Escape the value of a cell. Owners choose their names, and a spreadsheet must not compute them.

    Args:
        value: Any value. None is an empty cell.

    Returns:
        The value. Text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    if not isinstance(value, str):
        return "" if value is None else value
    shown = "".join(each for each in value if unicodedata.category(each) != "Cf")
    folded = unicodedata.normalize("NFKC", shown)
    return f"'{value}" if value.startswith(_FORMULA) or folded.lstrip().startswith(_FORMULA) else value
