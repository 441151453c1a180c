"""The page of the money's audit log: changes by person and time, the newest first."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from byline.api.accounts import AuditLine, Scope
from byline_service.accounts import audit
from byline_service.accounts.audit import AuditFilter
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.http.pagination import After, Number, cut, place_of
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page
from byline_service.state import AppState

router = APIRouter(prefix="/compensation", include_in_schema=False, route_class=PageRoute)
LISTED = 50
SUBJECTS = (
    "policies",
    "events",
    "statement-runs",
    "payouts",
    "holds",
    "consents",
    "rights",
    "rosters",
    "parties",
)
"""Changes that concern money. Those of keys, sessions and aliases are for admins."""


@router.get("/audit")
async def audit_page(
    request: Request,
    caller: Annotated[Caller, requires(Scope.READ)],
    person: Annotated[str, Query(max_length=100)] = "",
    action: Annotated[str, Query(max_length=64)] = "",
    after: After = None,
) -> Response:
    """Show the changes that concern money."""
    del caller
    every = AuditFilter(SUBJECTS)
    chosen = AuditFilter(SUBJECTS, action or None, person or None)
    (last,) = place_of(after, tuple[Number]) or (None,)
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        found = await audit.page(reading, last, LISTED + 1, chosen)
        persons = await audit.values(reading, "person", every)
        actions = await audit.values(reading, "action", every)
    shown, following = cut(found, LISTED, lambda line: (line["id"],))
    return page(
        request,
        "audit_log.html",
        here="compensation",
        lines=[AuditLine(**each) for each in shown],
        persons=persons,
        actions=actions,
        person=person,
        action=action,
        query=urlencode({"person": person, "action": action}),
        next=following,
        first=after is None,
    )
