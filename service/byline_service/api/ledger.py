"""Reading the ledger: entries, and what they add up to. Keys that see some owners see these owners' accounts."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from byline.api.accounts import Scope
from byline.api.statements import (
    BalanceDocument,
    BalanceList,
    EntryDocument,
    FindingDocument,
    LedgerPage,
    VerificationDocument,
)
from byline.errors import InvalidQuery
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.compensation.money import minor_digits
from byline_service.http.pagination import INVALID_CURSOR
from byline_service.http.problems import problem_responses
from byline_service.ledger import entry_queries, journal_queries
from byline_service.ledger.entry_queries import Balance, EntryRow
from byline_service.state import AppState

router = APIRouter(prefix="/v1/ledger", tags=["Compensation"])
Reading = Annotated[Caller, requires(Scope.READ, owner_scoped=True)]
FINDINGS = 100
"""Findings that are listed."""
PolicyFilter = Annotated[str | None, Query(max_length=64)]


@router.get("", operation_id="list_ledger", responses=problem_responses(422))
async def list_entries(
    request: Request,
    caller: Reading,
    after: Annotated[str | None, Query(max_length=40)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    policy: PolicyFilter = None,
) -> LedgerPage:
    """List the entries in their order."""
    service: AppState = request.app.state.service
    place = None if after is None else _place(after)
    async with service.database.read() as reading:
        found = await entry_queries.page(reading, place, limit, policy=policy, owners=caller.owners)
    last = found[-1] if len(found) == limit else None
    return LedgerPage(
        entries=[_entry(row) for row in found],
        next=None if last is None else f"{last.sequence}.{last.line}",
    )


@router.get("/balances", operation_id="list_balances", responses=problem_responses(422))
async def list_balances(request: Request, caller: Reading, policy: PolicyFilter = None) -> BalanceList:
    """Add up the accounts, by policy, account and owner."""
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        found = await entry_queries.balance_page(reading, policy, caller.owners)
        last = await journal_queries.last_sequence(reading)
    return BalanceList(balances=[_balance(each) for each in found], journal=last)


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


def _place(cursor: str) -> tuple[int, int]:
    sequence, _, line = cursor.partition(".")
    if not all(part.isascii() and part.isdigit() and len(part) < 18 for part in (sequence, line)):
        raise InvalidQuery(INVALID_CURSOR)
    return int(sequence), int(line)


def _entry(row: EntryRow) -> EntryDocument:
    kept = {key: value for key, value in vars(row).items() if key not in {"entry", "run_id"}}
    return EntryDocument(run=row.run_id, **kept, **row.entry.model_dump())


def _balance(balance: Balance) -> BalanceDocument:
    return BalanceDocument(minor_digits=minor_digits(balance.currency), **vars(balance))
