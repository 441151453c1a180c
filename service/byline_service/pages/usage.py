"""The Usage page: who asked how much, how long answers take, what was refused; and for admins what was changed."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import inf
from typing import Annotated

from fastapi import APIRouter, Query, Request
from prometheus_client import CollectorRegistry
from starlette.responses import Response

from byline.api.accounts import Scope, UsageRow
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.api import audit_and_usage, keys
from byline_service.pages.charts import Entry, bars, columns
from byline_service.pages.csv import Row, csv_stream
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page
from byline_service.state import AppState

router = APIRouter(include_in_schema=False, route_class=PageRoute)
Reading = Annotated[Caller, requires(Scope.READ)]
Days = Annotated[int, Query(ge=1, le=366)]
DRAWN = 12
MOST_ROWS = 20_000
"""Rows that the page adds up; it says so where there are more."""
LISTED = 20
ENDINGS = {
    401: "without a valid key",
    403: "not allowed by the key",
    404: "no such thing",
    409: "lost against another change",
    413: "too large",
    422: "not understood",
    429: "beyond the key's quota",
    499: "the client left",
    500: "a mistake of the service",
    503: "no room, or not ready",
    504: "not ready in time",
    507: "no disk",
}
"""Statuses in words."""


@dataclass(frozen=True)
class Sum:
    """Usage added up."""

    name: str
    requests: int
    queries: int
    milliseconds: int

    @property
    def mean(self) -> float | None:
        """Milliseconds a request."""
        return self.milliseconds / self.requests if self.requests else None


@router.get("/usage")
async def usage_page(
    request: Request,
    caller: Reading,
    days: Days = 31,
    after: Annotated[int | None, Query(ge=1, lt=1 << 63)] = None,
) -> Response:
    """Show a caller's usage; all of it, and the audit log, to admins."""
    service: AppState = request.app.state.service
    rows, complete = await _rows(request, caller, days)
    by_day = _by_day(rows, days)
    names = await _names(request, caller)
    by_key = added((names.get(row.key_id, row.key_id), row) for row in rows)
    drawn, top = columns([(each.name, each.queries) for each in by_day])
    refused = {status: count for status, count in endings(service.metrics.registry).items() if status >= 400}
    audit = (
        await audit_and_usage.list_audit(request, caller, after, LISTED) if caller.may(Scope.ADMIN) else None
    )
    return page(
        request,
        "usage.html",
        here="usage",
        days=days,
        added_up=None if complete else len(rows),
        by_day=by_day,
        columns=drawn,
        top=top,
        total=_sum("all", rows),
        today=by_day[-1],
        by_key=by_key,
        key_bars=bars([Entry(each.name, each.queries) for each in by_key[:DRAWN]]),
        by_index=added((row.index, row) for row in rows),
        stages=stage_times(service.metrics.registry),
        stage_bars=bars([Entry(each.stage, each.p99) for each in stage_times(service.metrics.registry)]),
        refused=sorted(refused.items(), key=lambda item: -item[1]),
        endings=ENDINGS,
        audit=audit,
        audit_first=after is None,
    )


@router.get("/usage.csv")
async def usage_csv(request: Request, caller: Reading, days: Days = 31) -> Response:
    """The same rows as the API's."""
    head = ("day", "key_id", "index", "requests", "queries", "milliseconds")

    async def pages() -> AsyncIterator[list[Row]]:
        async for part in _pages(request, caller, days):
            yield [[getattr(row, name) for name in head] for row in part]

    return await csv_stream("usage", head, pages())


def added(named: Iterable[tuple[str, UsageRow]]) -> list[Sum]:
    """Add rows up by name, those with most queries first."""
    groups: dict[str, list[UsageRow]] = defaultdict(list)
    for name, row in named:
        groups[name].append(row)
    sums = [_sum(name, rows) for name, rows in groups.items()]
    return sorted(sums, key=lambda each: (-each.queries, each.name))


def _sum(name: str, rows: Sequence[UsageRow]) -> Sum:
    return Sum(
        name,
        sum(row.requests for row in rows),
        sum(row.queries for row in rows),
        sum(row.milliseconds for row in rows),
    )


def _by_day(rows: Sequence[UsageRow], days: int) -> list[Sum]:
    """One sum a day, days without usage too."""
    found: dict[date, list[UsageRow]] = defaultdict(list)
    for row in rows:
        found[row.day].append(row)
    today = datetime.now(UTC).date()
    every = [today - timedelta(days=back) for back in range(days - 1, -1, -1)]
    return [_sum(day.isoformat(), found[day]) for day in every]


async def _rows(request: Request, caller: Caller, days: int) -> tuple[list[UsageRow], bool]:
    """The newest rows, and whether these are all."""
    found: list[UsageRow] = []
    async for part in _pages(request, caller, days):
        found += part
        if len(found) > MOST_ROWS:
            return found[:MOST_ROWS], False
    return found, True


async def _pages(request: Request, caller: Caller, days: int) -> AsyncIterator[list[UsageRow]]:
    after: str | None = None
    while True:
        part = await audit_and_usage.list_usage(request, caller, days, after, 1000)
        yield part.usage
        after = part.next
        if after is None:
            return


async def _names(request: Request, caller: Caller) -> Mapping[str, str]:
    """What keys are for, by id: admins know them by name."""
    if not caller.may(Scope.ADMIN):
        return {caller.key_id: "this key"}
    found = await keys.list_keys(request, caller, None, 1000)
    return {each.id: f"{each.name} ({each.person})" for each in found.keys}


STAGES = ("queue", "predict", "gradient", "transform", "search", "join")


@dataclass(frozen=True)
class StageTimes:
    """One stage of answers, in milliseconds."""

    stage: str
    count: int
    """Answers that had it."""
    mean: float
    median: float
    p99: float


def stage_times(registry: CollectorRegistry) -> list[StageTimes]:
    """Sum up `byline_stage_seconds` over indexes; stages that took no time are left out."""
    buckets: dict[str, Counter[float]] = defaultdict(Counter)
    sums: dict[str, float] = defaultdict(float)
    for family in registry.collect():
        for sample in family.samples:
            if sample.name == "byline_stage_seconds_bucket":
                buckets[sample.labels["stage"]][_bound(sample.labels["le"])] += int(sample.value)
            elif sample.name == "byline_stage_seconds_sum":
                sums[sample.labels["stage"]] += sample.value
    known = [stage for stage in STAGES if sums[stage] > 0]
    return [_times(stage, sorted(buckets[stage].items()), sums[stage]) for stage in known]


def _times(stage: str, cumulative: Sequence[tuple[float, int]], seconds: float) -> StageTimes:
    count = cumulative[-1][1]
    middle, late = quantile(cumulative, 0.5), quantile(cumulative, 0.99)
    return StageTimes(stage, count, 1e3 * seconds / count, 1e3 * middle, 1e3 * late)


def quantile(cumulative: Sequence[tuple[float, int]], q: float) -> float:
    """Estimate a quantile as Prometheus' `histogram_quantile` does: evenly spread within a bucket.

    Args:
        cumulative: (upper bound, observations at or below it), ascending, the last bound infinite.
        q: Between 0 and 1.
    """
    rank = q * cumulative[-1][1]
    below, start = 0, 0.0
    for bound, count in cumulative:
        if count >= rank and count > below:
            return start if bound == inf else start + (bound - start) * (rank - below) / (count - below)
        below, start = count, bound if bound != inf else start
    return start


def endings(registry: CollectorRegistry) -> Mapping[int, int]:
    """Requests to the API by how they ended, as HTTP status; pages and their files are left out."""
    found: Counter[int] = Counter()
    for family in registry.collect():
        for sample in family.samples:
            if sample.name == "byline_requests_total" and sample.labels["route"].startswith("/v1"):
                found[int(sample.labels["status"])] += int(sample.value)
    return found


def _bound(text: str) -> float:
    return inf if text == "+Inf" else float(text)
