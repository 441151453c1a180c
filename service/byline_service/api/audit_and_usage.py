"""Routes for the audit log, which admins read, and for the usage of keys."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from byline.api.accounts import AuditLine, Scope, UsageRow
from byline.api.page import Page
from byline_service.accounts import audit, usage
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.accounts.usage import UsageKey
from byline_service.http.pagination import After, Limit, Number, Text, cut, place_of
from byline_service.http.problems import problem_responses
from byline_service.state import AppState

router = APIRouter(prefix="/v1", tags=["Accounts"])


@router.get("/audit", operation_id="list_audit", responses=problem_responses(422))
async def list_audit(
    request: Request,
    caller: Annotated[Caller, requires(Scope.ADMIN)],
    after: After = None,
    limit: Limit = 100,
) -> Page[AuditLine]:
    """List the changes and their authors, the newest first."""
    del caller
    service: AppState = request.app.state.service
    (last,) = place_of(after, tuple[Number]) or (None,)
    async with service.database.read() as reading:
        found = await audit.page(reading, last, limit + 1)
    shown, following = cut(found, limit, lambda line: (line["id"],))
    return Page[AuditLine].of([AuditLine(**each) for each in shown], following)


@router.get("/usage", operation_id="list_usage", responses=problem_responses(422))
async def list_usage(
    request: Request,
    caller: Annotated[Caller, requires(Scope.READ)],
    days: Annotated[int, Query(ge=1, le=3660, description="How many days back, today included")] = 31,
    after: After = None,
    limit: Limit = 100,
) -> Page[UsageRow]:
    """List the usage by day, key and index. Admins see every key, others see their own."""
    service: AppState = request.app.state.service
    own = None if caller.may(Scope.ADMIN) else caller.key_id
    since = datetime.now(UTC).date() - timedelta(days=days - 1)
    place = place_of(after, tuple[date, Text, Text])
    last = None if place is None else UsageKey(*place)
    async with service.database.read() as reading:
        found = await usage.page(reading, since, own, last, limit + 1)
    shown, following = cut(found, limit, _place)
    rows = [UsageRow(**{_NAMES.get(name, name): value for name, value in each.items()}) for each in shown]
    return Page[UsageRow].of(rows, following)


_NAMES = {"index_name": "index"}


def _place(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["day"].isoformat(), row["key_id"], row["index_name"]
