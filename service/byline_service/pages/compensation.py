"""The compensation pages: owners' accounts, statement runs and the ledger. A key with owners sees their part."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.compensation import PolicyDocument
from byline.api.page import Page
from byline.api.statements import BalanceDocument, RunDocument, StatementDocument
from byline.errors import NotFound
from byline_service.accounts.makers import makers_of
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.api import ledger, policies, statement_runs, statements
from byline_service.compensation.calendar import EXAMPLES
from byline_service.compensation.eligibility import EXPLANATIONS
from byline_service.compensation.runs import SamePerson, same_person
from byline_service.http.pagination import After
from byline_service.ledger import statement_queries
from byline_service.pages.csv import Row, csv_response, csv_stream, major
from byline_service.pages.errors import PageRoute
from byline_service.pages.owner_totals import OwnerTotal, balanced, owner_bars, owner_totals, periods, totals
from byline_service.pages.rendering import page
from byline_service.state import AppState

router = APIRouter(prefix="/compensation", include_in_schema=False, route_class=PageRoute)
Reading = Annotated[Caller, requires(Scope.READ, owner_scoped=True)]
Policy = Annotated[str | None, Query(max_length=64)]
DRAWN_OWNERS = 15
DRAWN_PERIODS = 12
LISTED_RUNS = 20
LISTED_ENTRIES = 50


@router.get("")
async def compensation_page(
    request: Request,
    caller: Reading,
    policy: Policy = None,
    after: After = None,
) -> Response:
    """Show the accounts of all owners under one policy."""
    known = await _policies(request, caller)
    chosen = await _chosen(request, caller, policy, known)
    balances = await _balances(request, caller, chosen)
    owners = owner_totals(balances)
    runs = await _runs(request, caller, chosen, after)
    shown = known.get(chosen or "")
    names, columns = periods(await _posted(request, caller, chosen))
    return page(
        request,
        "compensation.html",
        here="compensation",
        policies=sorted({*known, *([chosen] if chosen else [])}),
        chosen=chosen,
        policy=shown,
        period_example=EXAMPLES[shown.policy.period] if shown else None,
        currency=_currency(balances, known, chosen),
        owners=owners,
        drawn=owner_bars(owners[:DRAWN_OWNERS]),
        totals=totals(balances),
        colors=names,
        periods=columns,
        runs=runs.data,
        runs_next=runs.next,
        first=after is None,
        waiting=sum(run.state in ("draft", "approved") for run in runs.data),
    )


@router.get("/owners.csv")
async def owners_csv(request: Request, caller: Reading, policy: Policy = None) -> Response:
    """Export every owner's accounts, in major units."""
    chosen = await _chosen(request, caller, policy, await _policies(request, caller))
    balances = await _balances(request, caller, chosen)
    currency = balances[0].currency if balances else ""
    rows = [
        (
            each.owner,
            currency,
            *(major(n, currency) for n in (each.payable, each.escrow, each.held, each.carried)),
        )
        for each in owner_totals(balances)
    ]
    return csv_response(
        request, "owners", ("owner", "currency", "payable", "escrow", "held", "carried"), rows
    )


@router.get("/periods.csv")
async def periods_csv(request: Request, caller: Reading, policy: Policy = None) -> Response:
    """Export the amounts of each posted run by owner, in major units."""
    chosen = await _chosen(request, caller, policy, await _policies(request, caller))
    posted = await _posted(request, caller, chosen)
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


@router.get("/runs/{run}")
async def run_page(request: Request, caller: Reading, run: str) -> Response:
    """Show one run with its lines and its next steps."""
    statement = await statements.get_statement(request, caller, run)
    lines = sorted(
        statement.lines,
        key=lambda line: (-(line.payable + line.escrow + line.held + line.carried), line.owner),
    )
    own = [OwnerTotal(each.owner, each.payable, each.escrow, each.held, each.carried) for each in lines]
    return page(
        request,
        "run.html",
        here="compensation",
        statement=statement,
        lines=lines,
        drawn=owner_bars(own[:DRAWN_OWNERS]),
        obstacle=await _obstacle(request, caller, statement),
        own=same_person(caller.person, statement.drafted_by),
        explanations=EXPLANATIONS,
    )


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


async def _obstacle(request: Request, caller: Caller, run: RunDocument) -> str | None:
    """Return why the caller cannot approve a run. None if they can. The approval itself checks again."""
    if not caller.may(Scope.APPROVE):
        return "Your key does not have the scope approve."
    if same_person(caller.person, run.drafted_by):
        return "You drafted this run. Another person must approve it."
    if run.state != "draft":
        return None
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        _, found = await statement_queries.find(reading, run.id)
        makers = await makers_of(reading, caller)
    try:
        found.require_approvable(caller.person, makers)
    except SamePerson:
        return "One person made or could hold both your key and the drafter's. Another approver is needed."
    return None


async def _policies(request: Request, caller: Caller) -> dict[str, PolicyDocument]:
    """Return the newest revisions by name; for a key with owners none, since it sees the names of policies only."""
    if caller.owners is not None:
        return {}
    found = await policies.list_policies(request, None, 1000)
    return {each.policy.name: each for each in found.data}


async def _chosen(
    request: Request, caller: Caller, policy: str | None, known: dict[str, PolicyDocument]
) -> str | None:
    """Return the chosen policy: the requested one, or the first."""
    names = set(known)
    if caller.owners is not None:
        names = {each.policy for each in (await ledger.all_balances(request, caller))[0]}
    if policy is not None and policy not in names:
        raise NotFound("expected the name of a policy, got another one")
    return policy or min(names, default=None)


async def _balances(request: Request, caller: Caller, policy: str | None) -> list[BalanceDocument]:
    return [] if policy is None else (await ledger.all_balances(request, caller, policy))[0]


async def _runs(request: Request, caller: Caller, policy: str | None, after: str | None) -> Page[RunDocument]:
    if caller.owners is not None:
        return await statements.list_statements(request, caller, after, LISTED_RUNS)
    return await statement_runs.list_runs(request, after, LISTED_RUNS, policy)


async def _posted(request: Request, caller: Caller, policy: str | None) -> list[StatementDocument]:
    """Return the last posted runs with their lines."""
    if policy is None:
        return []
    found = (await statements.list_statements(request, caller, None, 100)).data
    own = [each.id for each in found if each.policy == policy][:DRAWN_PERIODS]
    return [await statements.get_statement(request, caller, each) for each in own]


def _currency(
    balances: list[BalanceDocument], known: dict[str, PolicyDocument], chosen: str | None
) -> tuple[str, int]:
    if balances:
        return balances[0].currency, balances[0].minor_digits
    if chosen in known:
        return known[chosen].policy.currency, known[chosen].minor_digits
    return "EUR", 2
