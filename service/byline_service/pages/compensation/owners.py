"""The list of owners, searched and sorted on the server, and the page of one owner."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from pydantic import Field, field_validator
from starlette.responses import Response

from byline.api.owner_accounts import OwnerSearch
from byline.errors import NotFound
from byline_service.api import ledger, owner_accounts, parties
from byline_service.http.pagination import After
from byline_service.pages.compensation.choice import Reading, choose
from byline_service.pages.compensation.owner_charts import RunSum, owner_bars, run_columns
from byline_service.pages.compensation.titles import run_title
from byline_service.pages.csv import csv_response, major
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page

router = APIRouter(prefix="/compensation", include_in_schema=False, route_class=PageRoute)
LISTED_OWNERS = 100
LISTED_LINES = 24


class OwnersAddress(OwnerSearch):
    """The address of the list: it holds the whole state of the page."""

    policy: Annotated[str | None, Field(max_length=64)] = None
    """Name of the policy. None takes the first."""
    after: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    """Number of owners before the page."""

    @field_validator("holding", mode="before")
    @classmethod
    def _any(cls, given: object) -> object:
        """Take the empty choice of the form as none."""
        return given or None

    def changed(self, **changes: Any) -> str:
        """Return the address with other values, from the first page on if it is not among them.

        Args:
            **changes: The other values.
        """
        wanted = self.model_copy(update={"after": 0} | changes)
        return "?" + urlencode(wanted.model_dump(exclude_defaults=True, exclude_none=True))


@router.get("/owners")
async def owners_page(
    request: Request, caller: Reading, address: Annotated[OwnersAddress, Query()]
) -> Response:
    """Show a page of the owners under a policy."""
    choice = await choose(request, caller, address.policy)
    found = (
        None
        if choice.name is None
        else await owner_accounts.search_owners(
            request, caller, choice.name, address, slice(address.after, address.after + LISTED_OWNERS)
        )
    )
    return page(
        request,
        "owners.html",
        here="compensation",
        choice=choice,
        found=found,
        drawn=owner_bars(found.data) if found else [],
        state=address,
        size=LISTED_OWNERS,
    )


@router.get("/owners.csv")
async def owners_csv(
    request: Request, caller: Reading, address: Annotated[OwnersAddress, Query()]
) -> Response:
    """Export the accounts of all owners that match, in major units."""
    choice = await choose(request, caller, address.policy)
    rows: list[tuple[object, ...]] = []
    if choice.name is not None:
        found = await owner_accounts.search_owners(request, caller, choice.name, address, slice(None))
        for each in found.data:
            amounts = (major(n, found.currency) for n in (each.payable, each.escrow, each.held, each.carried))
            rows.append((each.owner, found.currency, *amounts))
    return csv_response(
        request, "owners", ("owner", "currency", "payable", "escrow", "held", "carried"), rows
    )


@router.get("/owner")
async def owner_page(
    request: Request,
    caller: Reading,
    owner: Annotated[str, Query(max_length=1000)],
    after: After = None,
) -> Response:
    """Show one owner: accounts by policy, and lines of posted runs."""
    lines = await owner_accounts.list_owner_statements(request, caller, owner, after, LISTED_LINES)
    balances, _ = await ledger.all_balances(request, caller, owner=owner)
    if not (lines.data or balances):
        raise NotFound("expected the name of an owner with a line in a posted run, got another one")
    party = next(iter((await parties.list_parties(request, None, 1, owner)).data), None)
    accounts: dict[str, dict[str, int]] = {}
    for each in balances:
        accounts.setdefault(each.policy, {})[each.account] = each.amount
    drawn = lines.data[::-1]
    _, columns = run_columns(
        [RunSum(each.run.id, run_title(each.run), each.line.payable) for each in drawn],
        {owner: {each.run.id: each.line.payable for each in drawn}},
    )
    return page(
        request,
        "owner.html",
        here="compensation",
        owner=owner,
        accounts=accounts,
        party=party,
        currencies={each.policy: (each.currency, each.minor_digits) for each in balances},
        lines=[(each.run, run_title(each.run), each.line) for each in lines.data],
        next=lines.next,
        first=after is None,
        columns=columns if len({each.run.currency for each in drawn}) == 1 else [],
        latest=next((each.run for each in lines.data if each.run.kind != "reversal"), None),
        query=urlencode({"owner": owner}),
    )
