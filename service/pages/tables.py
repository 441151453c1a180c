"""Tables as files for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Sequence

from starlette.responses import Response

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_response(name: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Write a CSV file as RFC 4180 has it.

    Args:
        name: Of the file, without its ending: made of an index's name and constants.
        head: Names of the columns.
        rows: Their values; None is an empty cell.

    Returns:
        The file, as a download.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(head)
    writer.writerows([_cell(each) for each in row] for row in rows)
    return Response(
        buffer.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"},
    )


def _cell(value: object) -> object:
    """Keep text that a spreadsheet would compute as text: owners name themselves."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value
