"""Reading the ledger: entries, and what they add up to. Keys that see some owners see these owners' accounts."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from byline.api.accounts import Scope
from byline.api.page import Page
from byline.api.statements import (
    BalanceDocument,
    BalancePage,
    EntryDocument,
    FindingDocument,
    VerificationDocument,
)
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.compensation.money import minor_digits
from byline_service.http.pagination import After, Limit, Number, Text, cut, place_of
from byline_service.http.problems import problem_responses
from byline_service.ledger import entry_queries, journal_queries
from byline_service.ledger.entry_queries import Balance, EntryRow
from byline_service.state import AppState

router = APIRouter(prefix="/v1/ledger", tags=["Compensation"])
Reading = Annotated[Caller, requires(Scope.READ, owner_scoped=True)]
FINDINGS = 100
"""Findings that are listed."""
PolicyFilter = Annotated[str | None, Query(max_length=64)]
OwnerFilter = Annotated[str | None, Query(max_length=1000, description="Name of the only owner")]


@router.get("", operation_id="list_ledger", responses=problem_responses(422))
async def list_entries(
    request: Request,
    caller: Reading,
    after: After = None,
    limit: Limit = 100,
    policy: PolicyFilter = None,
) -> Page[EntryDocument]:
    """List the entries in their order."""
    service: AppState = request.app.state.service
    place = place_of(after, tuple[Number, Number])
    async with service.database.read() as reading:
        found = await entry_queries.page(reading, place, limit + 1, policy=policy, owners=caller.owners)
    shown, following = cut(found, limit, lambda row: (row.sequence, row.line))
    return Page[EntryDocument].of([_entry(row) for row in shown], following)


@router.get("/balances", operation_id="list_balances", responses=problem_responses(422))
async def list_balances(
    request: Request,
    caller: Reading,
    after: After = None,
    limit: Limit = 100,
    policy: PolicyFilter = None,
    owner: OwnerFilter = None,
) -> BalancePage:
    """Add up the accounts, by policy, account and owner."""
    place = place_of(after, tuple[Text, Text, Text, Text])
    found, journal = await _balances(request, caller, policy, owner)
    rest = [each for each in found if place is None or each.place > place]
    shown, following = cut(rest, limit, lambda each: each.place)
    return BalancePage(
        data=[_balance(each) for each in shown],
        next=following,
        has_more=following is not None,
        journal=journal,
    )


async def all_balances(
    request: Request, caller: Caller, policy: str | None = None, owner: str | None = None
) -> tuple[list[BalanceDocument], int]:
    """Add up all accounts that a caller may see.

    Args:
        request: The request.
        caller: The reader.
        policy: The only policy. None for all.
        owner: The only owner. None for all.

    Returns:
        The balances, and the sequence number of the last journal record.
    """
    found, journal = await _balances(request, caller, policy, owner)
    return [_balance(each) for each in found], journal


async def _balances(
    request: Request, caller: Caller, policy: str | None, owner: str | None
) -> tuple[list[Balance], int]:
    if owner is not None:
        caller.require_owner(owner)
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        found = await entry_queries.account_balances(
            reading, policy, caller.owners if owner is None else {owner}
        )
        return found, await journal_queries.last_sequence(reading)


@router.get("/verification", operation_id="verify_ledger", dependencies=[requires(Scope.APPROVE)])
async def verify_ledger(request: Request) -> VerificationDocument:
    """Check the journal and the audit log against their rules, recompute every statement, and compare all tables.

    The same as `byline ledger verify`. One verification runs at a time. Requests in the meantime get its result, or
    503 after the deadline of a request.
    """
    service: AppState = request.app.state.service
    found = await service.verifier.verify(service.settings.deadline_seconds)
    counted = {name: value for name, value in vars(found).items() if name != "findings"}
    findings = [FindingDocument(where=each.where, what=each.what) for each in found.findings[:FINDINGS]]
    return VerificationDocument(findings=findings, **counted)


def _entry(row: EntryRow) -> EntryDocument:
    kept = {key: value for key, value in vars(row).items() if key not in {"entry", "run_id"}}
    return EntryDocument(run=row.run_id, **kept, **row.entry.model_dump())


def _balance(balance: Balance) -> BalanceDocument:
    return BalanceDocument(minor_digits=minor_digits(balance.currency), **vars(balance))
