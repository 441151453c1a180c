"""Owners' accounts under a policy, searched and sorted, and an owner's lines of posted runs."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from byline.api.accounts import Scope
from byline.api.owner_accounts import (
    OwnerAccountsPage,
    OwnerAccountsQuery,
    OwnerSearch,
    OwnerStatement,
)
from byline.api.page import Page
from byline.errors import NotFound
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.compensation.money import minor_digits
from byline_service.http.pagination import After, Limit, Number, cursor, cut, place_of
from byline_service.http.problems import problem_responses
from byline_service.ledger import owner_queries, policy_queries
from byline_service.ledger.owner_search import matching
from byline_service.ledger.statement_documents import run_document, statement_lines
from byline_service.state import AppState

router = APIRouter(prefix="/v1", tags=["Compensation"])
Reading = Annotated[Caller, requires(Scope.READ, owner_scoped=True)]


@router.get("/ledger/owners", operation_id="list_owner_accounts", responses=problem_responses(404, 422))
async def list_owner_accounts(
    request: Request, caller: Reading, query: Annotated[OwnerAccountsQuery, Query()]
) -> OwnerAccountsPage:
    """List owners with the balances of their accounts under a policy."""
    (start,) = place_of(query.after, tuple[Number]) or (0,)
    return await search_owners(request, caller, query.policy, query, slice(start, start + query.limit))


async def search_owners(
    request: Request, caller: Caller, policy: str, search: OwnerSearch, part: slice
) -> OwnerAccountsPage:
    """Return a page of owners, as a caller may see it.

    Args:
        request: The request.
        caller: The reader.
        policy: Name of the policy.
        search: Search and order of the owners.
        part: Place and size of the page in the list.

    Raises:
        NotFound: There is no such policy, or none that the key may see.
    """
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        accounts = await owner_queries.accounts(reading, policy, caller.owners)
        if caller.owners is not None and not accounts:
            raise NotFound("expected the name of a policy, got another one")
        currency = (await policy_queries.find(reading, policy)).currency
    found = matching(accounts, search)
    shown = found[part]
    end = (part.start or 0) + len(shown)
    following = cursor(end) if end < len(found) else None
    return OwnerAccountsPage(
        data=shown,
        next=following,
        has_more=following is not None,
        currency=currency,
        minor_digits=minor_digits(currency),
        found=len(found),
        owners=len(accounts),
    )


@router.get("/statement-lines", operation_id="list_owner_statements", responses=problem_responses(422))
async def list_owner_statements(
    request: Request,
    caller: Reading,
    owner: Annotated[str, Query(max_length=1000, description="Name of an owner")],
    after: After = None,
    limit: Limit = 100,
) -> Page[OwnerStatement]:
    """List an owner's lines of posted runs, the newest first."""
    caller.require_owner(owner)
    service: AppState = request.app.state.service
    (last,) = place_of(after, tuple[Number]) or (None,)
    async with service.database.read() as reading:
        found = await owner_queries.lines_of_owner(reading, owner, last, limit + 1)
        shown, following = cut(found, limit, lambda row: (row[0].sequence,))
        lines = [
            OwnerStatement(
                run=run_document(run, warned=caller.owners is None),
                line=(await statement_lines(reading, run, [line]))[0],
            )
            for run, line in shown
        ]
    return Page[OwnerStatement].of(lines, following)
