"""The page of the ledger's entries."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from byline.api.statements import BalanceDocument
from byline_service.api import ledger
from byline_service.http.pagination import After
from byline_service.pages.compensation.choice import Reading
from byline_service.pages.csv import Row, csv_stream, major
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page

router = APIRouter(prefix="/compensation", include_in_schema=False, route_class=PageRoute)
LISTED_ENTRIES = 50


@router.get("/ledger")
async def ledger_page(request: Request, caller: Reading, after: After = None) -> Response:
    """Show the entries of the ledger."""
    found = await ledger.list_entries(request, caller, after, LISTED_ENTRIES)
    balances, journal = await ledger.all_balances(request, caller)
    return page(
        request,
        "ledger.html",
        here="compensation",
        entries=found.data,
        next=found.next,
        first=after is None,
        journal=journal,
        digits={each.currency: each.minor_digits for each in balances},
        balanced=balanced(balances),
    )


@router.get("/ledger.csv")
async def ledger_csv(request: Request, caller: Reading) -> Response:
    """Export all entries of the ledger, in major units."""

    async def pages() -> AsyncIterator[list[Row]]:
        after: str | None = ""
        while after is not None:
            part = await ledger.list_entries(request, caller, after or None, 1000)
            yield [
                (
                    each.sequence,
                    each.line,
                    each.run,
                    each.policy,
                    each.account,
                    each.owner,
                    each.currency,
                    major(each.amount, each.currency),
                )
                for each in part.data
            ]
            after = part.next

    head = ("sequence", "line", "run", "policy", "account", "owner", "currency", "amount")
    return await csv_stream(request, "ledger", head, pages())


def balanced(balances: Sequence[BalanceDocument]) -> bool:
    """Return whether the accounts of every policy add up to zero. Amounts of two currencies are never added."""
    found: dict[str, int] = defaultdict(int)
    for each in balances:
        found[each.policy] += each.amount
    return not any(found.values())
