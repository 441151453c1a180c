"""The first page of compensation: runs that wait, the accounts of a policy's owners, and its runs."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.compensation import Calendar
from byline.api.owner_accounts import OwnerAccountsPage, OwnerSearch
from byline.api.page import Page
from byline.api.statements import RunDocument
from byline_service.accounts.scopes import Caller
from byline_service.api import owner_accounts, statement_runs, statements
from byline_service.compensation.calendar import EXAMPLES, last_finished
from byline_service.compensation.money import minor_digits
from byline_service.database import Connection
from byline_service.http.pagination import After
from byline_service.ledger import journal_queries, owner_queries
from byline_service.pages.compensation.choice import Choice, PolicyName, Reading, choose
from byline_service.pages.compensation.obstacles import obstacle
from byline_service.pages.compensation.owner_charts import NAMED, RunColumn, RunSum, owner_bars, run_columns
from byline_service.pages.compensation.policy_words import sentences
from byline_service.pages.compensation.titles import days_title, period_title, run_title
from byline_service.pages.csv import csv_response, major
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page
from byline_service.state import AppState

router = APIRouter(prefix="/compensation", include_in_schema=False, route_class=PageRoute)
DRAWN_OWNERS = 15
DRAWN_RUNS = 12
LISTED_RUNS = 20
PRESETS = 6
ACCOUNTS = ("payable", "escrow", "held", "carried", "unclaimed", "unallocated")


@dataclass(frozen=True)
class Waiting:
    """A run that waits for an approval or for the posting."""

    run: RunDocument
    title: str
    payable: int
    mine: bool
    """Whether the caller can take the next step."""


@dataclass(frozen=True)
class Preset:
    """A finished period that a draft can pay."""

    name: str
    title: str
    days: str
    """First and last day."""


@router.get("")
async def compensation_page(
    request: Request,
    caller: Reading,
    policy: PolicyName = None,
    after: After = None,
) -> Response:
    """Show the runs that wait, and the accounts of all owners under one policy."""
    choice = await choose(request, caller, policy)
    runs = await _runs(request, caller, choice.name, after)
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        amounts = await owner_queries.payable_of_runs(reading, [each.id for each in runs.data], caller.owners)
        sums = await owner_queries.totals(reading, choice.name or "", caller.owners)
    found = await _owners(request, caller, choice, sums)
    names, columns = await _columns(request, caller, choice.name)
    policy_now = choice.document
    return page(
        request,
        "compensation.html",
        here="compensation",
        choice=choice,
        period_example=EXAMPLES[policy_now.policy.period] if policy_now else None,
        presets=await _presets(request, policy_now.policy.period) if policy_now else [],
        terms=sentences(policy_now.policy) if policy_now else {},
        currency=_currency(choice, found),
        found=found,
        drawn=owner_bars(found.data) if found else [],
        totals={name: sums.get(name, 0) for name in ACCOUNTS},
        colors=names,
        columns=columns,
        runs=[(each, run_title(each), amounts.get(each.id, 0)) for each in runs.data],
        runs_next=runs.next,
        first=after is None,
        waiting=await waiting_runs(request, caller),
    )


@router.get("/periods.csv")
async def periods_csv(request: Request, caller: Reading, policy: PolicyName = None) -> Response:
    """Export the amounts of each posted run by owner, in major units."""
    choice = await choose(request, caller, policy)
    posted = [
        await statements.get_statement(request, caller, each.id)
        for each in await _posted(request, caller, choice.name)
    ]
    rows = [
        (
            each.id,
            each.period,
            each.since,
            each.until,
            line.owner,
            each.currency,
            major(line.payable, each.currency),
        )
        for each in posted
        for line in each.lines
    ]
    return csv_response(
        request, "periods", ("run", "period", "since", "until", "owner", "currency", "payable"), rows
    )


async def waiting_runs(request: Request, caller: Caller) -> list[Waiting]:
    """Return the runs that wait, those that the caller can move first. None for a key with owners.

    Args:
        request: The request of a page.
        caller: The reader.
    """
    if caller.owners is not None:
        return []
    found = (await statement_runs.list_runs(request, None, 1000, None, waiting=True)).data
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        amounts = await owner_queries.payable_of_runs(reading, [each.id for each in found], None)
        shown = [
            Waiting(each, run_title(each), amounts.get(each.id, 0), await _can_move(reading, caller, each))
            for each in found
        ]
    return sorted(shown, key=lambda each: not each.mine)


async def _can_move(reading: Connection, caller: Caller, run: RunDocument) -> bool:
    if run.state == "approved":
        return caller.may(Scope.APPROVE)
    return await obstacle(reading, caller, run) is None


async def _presets(request: Request, calendar: Calendar) -> list[Preset]:
    """Return the last finished periods, the newest first."""
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        moment = await journal_queries.next_moment(reading)
    found = []
    for _ in range(PRESETS):
        period = last_finished(calendar, moment)
        found.append(Preset(period.name, period_title(period.name), days_title(period.since, period.until)))
        moment = period.since
    return found


async def _runs(request: Request, caller: Caller, policy: str | None, after: str | None) -> Page[RunDocument]:
    if caller.owners is not None:
        return await statements.list_statements(request, caller, after, LISTED_RUNS)
    return await statement_runs.list_runs(request, after, LISTED_RUNS, policy)


async def _owners(
    request: Request, caller: Caller, choice: Choice, sums: dict[str, int]
) -> OwnerAccountsPage | None:
    """Return the owners with the largest payable amounts. None if no run is posted."""
    if choice.name is None or not sums:
        return None
    return await owner_accounts.search_owners(
        request, caller, choice.name, OwnerSearch(), slice(DRAWN_OWNERS)
    )


async def _columns(request: Request, caller: Caller, policy: str | None) -> tuple[list[str], list[RunColumn]]:
    """Return the last posted runs as columns, the oldest first."""
    posted = (await _posted(request, caller, policy))[::-1]
    ids = [each.id for each in posted]
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        amounts = await owner_queries.payable_of_runs(reading, ids, caller.owners)
        largest = await owner_queries.payable_of_largest(reading, ids, caller.owners, NAMED)
    return run_columns(
        [RunSum(each.id, run_title(each), amounts.get(each.id, 0)) for each in posted], largest
    )


async def _posted(request: Request, caller: Caller, policy: str | None) -> list[RunDocument]:
    found = (await statements.list_statements(request, caller, None, 100)).data
    return [each for each in found if each.policy == policy][:DRAWN_RUNS]


def _currency(choice: Choice, found: OwnerAccountsPage | None) -> tuple[str, int]:
    if choice.document is not None:
        return choice.document.policy.currency, choice.document.minor_digits
    return (found.currency, found.minor_digits) if found else ("EUR", minor_digits("EUR"))
