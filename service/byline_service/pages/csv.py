"""CSV downloads of tables."""

from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from byline_service.compensation.money import format_minor
from byline_service.http.csv_cells import BYTE_ORDER_MARK, csv_form

Row = Sequence[object]
MEDIA_TYPE = "text/csv; charset=utf-8"


def csv_response(request: Request, name: str, head: Sequence[str], rows: Iterable[Row]) -> Response:
    """Write a CSV file by RFC 4180.

    Args:
        request: The request. Its language decides the separator.
        name: Name of the file without its suffix, made of an index's name and constants.
        head: Names of the columns.
        rows: Values of the rows. None is an empty cell.

    Returns:
        The file, as a download.
    """
    form = csv_form(request.headers.get("accept-language"))
    return Response(
        BYTE_ORDER_MARK + form.lines([head, *rows]), media_type=MEDIA_TYPE, headers=_headers(name)
    )


async def csv_stream(
    request: Request, name: str, head: Sequence[str], pages: AsyncIterator[list[Row]]
) -> Response:
    """Write a CSV file of any length, one page of rows at a time.

    A failure of the first page is answered like any failure. After a later failure the connection is closed before the end
    of the file, so that the client does not take the part for the whole.

    Args:
        request: The request.
        name: Name of the file, as for `csv_response`.
        head: Names of the columns.
        pages: Values of the rows, by page.

    Returns:
        The file, as a download.
    """
    form = csv_form(request.headers.get("accept-language"))
    first = await anext(pages, list[Row]())

    async def parts() -> AsyncIterator[str]:
        yield BYTE_ORDER_MARK + form.lines([head, *first])
        async for rows in pages:
            yield form.lines(rows)

    return StreamingResponse(parts(), media_type=MEDIA_TYPE, headers=_headers(name))


def major(minor: int, currency: str) -> Decimal:
    """Return an amount in major units, exactly. It is a number, so no spreadsheet takes its sign for a formula."""
    return Decimal(format_minor(minor, currency))


def _headers(name: str) -> dict[str, str]:
    return {
        "Content-Disposition": f'attachment; filename="{name}.csv"',
        "Cache-Control": "no-store",
        "Vary": "Accept-Language",
    }
