"""The page of policies: terms in sentences, the history of each, and the form of another revision."""

from itertools import pairwise
from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.currencies import MINOR_DIGITS
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.api import policies
from byline_service.compensation.journal import Record
from byline_service.compensation.money import format_minor
from byline_service.ledger import policy_queries
from byline_service.pages.compensation.choice import PolicyName, choose
from byline_service.pages.compensation.policy_words import body_of, changes, sentences
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page
from byline_service.state import AppState

router = APIRouter(prefix="/compensation", include_in_schema=False, route_class=PageRoute)


@router.get("/policies")
async def policies_page(
    request: Request, caller: Annotated[Caller, requires(Scope.READ)], policy: PolicyName = None
) -> Response:
    """Show a policy in sentences with its history, newest revision first."""
    choice = await choose(request, caller, policy)
    records = await _records(request, choice.name)
    found = [] if choice.name is None else (await policies.get_policy(request, choice.name, None, 1000)).data
    revisions = sorted((each.policy for each in found), key=lambda each: each.revision)
    newest = revisions[-1] if revisions else None
    return page(
        request,
        "policies.html",
        here="compensation",
        choice=choice,
        newest=newest,
        terms=sentences(newest) if newest else {},
        history=[(after, changes(before, after)) for before, after in pairwise(revisions)][::-1],
        records=records,
        base=body_of(newest) if newest else None,
        written={
            name: format_minor(getattr(newest, name), newest.currency) for name in ("pool", "budget", "floor")
        }
        if newest
        else {},
        currencies=sorted(MINOR_DIGITS),
        digits=MINOR_DIGITS,
    )


async def _records(request: Request, name: str | None) -> dict[int, Record]:
    """Return the journal record of each revision, which names its person and time."""
    if name is None:
        return {}
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        return {fact.policy.revision: record for record, fact in await policy_queries.history(reading, name)}
