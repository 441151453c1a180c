"""Routes for the audit log, which admins read, and for the usage of keys."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request

from byline.api.accounts import AuditLine, AuditPage, Scope, UsagePage, UsageRow
from byline.errors import InvalidQuery
from byline_service.accounts import audit, usage
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.accounts.usage import UsageKey
from byline_service.http.pagination import INVALID_CURSOR
from byline_service.http.problems import problem_responses
from byline_service.state import AppState

router = APIRouter(prefix="/v1", tags=["Accounts"])
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most")]


@router.get("/audit", operation_id="list_audit", responses=problem_responses(422))
async def list_audit(
    request: Request,
    caller: Annotated[Caller, requires(Scope.ADMIN)],
    after: Annotated[int | None, Query(ge=1, lt=1 << 63, description="`next` of the page before")] = None,
    limit: Limit = 100,
) -> AuditPage:
    """List the changes and their authors, the newest first."""
    del caller
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        found = await audit.page(reading, after, limit + 1)
    lines = [AuditLine(**each) for each in found[:limit]]
    return AuditPage(lines=lines, next=lines[-1].id if len(found) > limit else None)


@router.get("/usage", operation_id="list_usage", responses=problem_responses(422))
async def list_usage(
    request: Request,
    caller: Annotated[Caller, requires(Scope.READ)],
    days: Annotated[int, Query(ge=1, le=3660, description="How many days back, today included")] = 31,
    after: Annotated[str | None, Query(max_length=100, description="`next` of the page before")] = None,
    limit: Limit = 1000,
) -> UsagePage:
    """List the usage by day, key and index. Admins see every key, others see their own."""
    service: AppState = request.app.state.service
    own = None if caller.may(Scope.ADMIN) else caller.key_id
    since = datetime.now(UTC).date() - timedelta(days=days - 1)
    async with service.database.read() as reading:
        found = await usage.page(reading, since, own, _last(after), limit + 1)
    rows = [
        UsageRow(**{_NAMES.get(name, name): value for name, value in each.items()}) for each in found[:limit]
    ]
    return UsagePage(usage=rows, next=_next(rows[-1]) if len(found) > limit else None)


_NAMES = {"index_name": "index"}


def _next(row: UsageRow) -> str:
    return f"{row.day.isoformat()}~{row.key_id}~{row.index}"


def _last(after: str | None) -> UsageKey | None:
    if after is None:
        return None
    try:
        day, key_id, index = after.split("~")
        if "\0" in after:
            raise ValueError
        return UsageKey(date.fromisoformat(day), key_id, index)
    except ValueError:
        raise InvalidQuery(INVALID_CURSOR) from None
