"""Tables as files for spreadsheets."""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal

from starlette.responses import Response, StreamingResponse

from byline_service.compensation.money import written
from byline_service.http.csv_cells import csv_cell

Row = Sequence[object]
MEDIA_TYPE = "text/csv; charset=utf-8"


def csv_response(name: str, head: Sequence[str], rows: Iterable[Row]) -> Response:
    """Write a CSV file as RFC 4180 has it.

    Args:
        name: Of the file, without its ending: made of an index's name and constants.
        head: Names of the columns.
        rows: Their values; None is an empty cell.

    Returns:
        The file, as a download.
    """
    return Response(_written([head, *rows]), media_type=MEDIA_TYPE, headers=_headers(name))


async def csv_stream(name: str, head: Sequence[str], pages: AsyncIterator[list[Row]]) -> Response:
    """Write a CSV file of any length, a page of rows at a time.

    What fails with the first page is answered as any failure; later, the connection is closed before the file's end,
    so that no client takes a part for the whole.

    Args:
        name: As for `csv_response`.
        head: Names of the columns.
        pages: Their values.

    Returns:
        The file, as a download.
    """
    first = await anext(pages, list[Row]())

    async def parts() -> AsyncIterator[str]:
        yield _written([head, *first])
        async for rows in pages:
            yield _written(rows)

    return StreamingResponse(parts(), media_type=MEDIA_TYPE, headers=_headers(name))


def major(minor: int, currency: str) -> Decimal:
    """An amount in major units, exactly: a number, which no sign makes a formula."""
    return Decimal(written(minor, currency))


def _headers(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"}


def _written(rows: Iterable[Row]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([csv_cell(each) for each in row] for row in rows)
    return buffer.getvalue()
