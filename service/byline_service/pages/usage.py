"""The usage page: requests, latency and refusals; for admins also the audit log."""

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
from byline_service.http.pagination import After
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
"""Most rows that the page sums. It says so if there are more."""
LISTED = 20
STATUS_MEANINGS = {
    401: "missing or invalid key",
    403: "not allowed for this key",
    404: "not found",
    409: "conflict with another change",
    413: "content too large",
    422: "invalid request",
    429: "quota exceeded",
    499: "client disconnected",
    500: "internal error",
    503: "overloaded or not ready",
    504: "deadline exceeded",
    507: "disk full",
}
"""Meanings of HTTP statuses."""


@dataclass(frozen=True)
class UsageSum:
    """Summed usage."""

    name: str
    requests: int
    queries: int
    milliseconds: int

    @property
    def mean(self) -> float | None:
        """Return the mean milliseconds per request."""
        return self.milliseconds / self.requests if self.requests else None


@router.get("/usage")
async def usage_page(
    request: Request,
    caller: Reading,
    days: Days = 31,
    after: After = None,
) -> Response:
    """Show the usage of the caller's key; for admins, of all keys, with the audit log."""
    service: AppState = request.app.state.service
    rows, complete = await _rows(request, caller, days)
    by_day = _by_day(rows, days)
    names = await _names(request, caller)
    by_key = sum_by_name((names.get(row.key_id, row.key_id), row) for row in rows)
    drawn, top = columns([(each.name, each.queries) for each in by_day])
    refused = {
        status: count for status, count in request_statuses(service.metrics.registry).items() if status >= 400
    }
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
        by_index=sum_by_name((row.index, row) for row in rows),
        stages=stage_times(service.metrics.registry),
        stage_bars=bars([Entry(each.stage, each.p99) for each in stage_times(service.metrics.registry)]),
        refused=sorted(refused.items(), key=lambda item: -item[1]),
        status_meanings=STATUS_MEANINGS,
        audit=audit,
        audit_first=after is None,
    )


@router.get("/usage.csv")
async def usage_csv(request: Request, caller: Reading, days: Days = 31) -> Response:
    """Export the rows of the API's usage list."""
    head = ("day", "key_id", "index", "requests", "queries", "milliseconds")

    async def pages() -> AsyncIterator[list[Row]]:
        async for part in _pages(request, caller, days):
            yield [[getattr(row, name) for name in head] for row in part]

    return await csv_stream(request, "usage", head, pages())


def sum_by_name(named: Iterable[tuple[str, UsageRow]]) -> list[UsageSum]:
    """Sum rows by name, those with most queries first."""
    groups: dict[str, list[UsageRow]] = defaultdict(list)
    for name, row in named:
        groups[name].append(row)
    sums = [_sum(name, rows) for name, rows in groups.items()]
    return sorted(sums, key=lambda each: (-each.queries, each.name))


def _sum(name: str, rows: Sequence[UsageRow]) -> UsageSum:
    return UsageSum(
        name,
        sum(row.requests for row in rows),
        sum(row.queries for row in rows),
        sum(row.milliseconds for row in rows),
    )


def _by_day(rows: Sequence[UsageRow], days: int) -> list[UsageSum]:
    """Return one sum per day, including days without usage."""
    found: dict[date, list[UsageRow]] = defaultdict(list)
    for row in rows:
        found[row.day].append(row)
    today = datetime.now(UTC).date()
    every = [today - timedelta(days=back) for back in range(days - 1, -1, -1)]
    return [_sum(day.isoformat(), found[day]) for day in every]


async def _rows(request: Request, caller: Caller, days: int) -> tuple[list[UsageRow], bool]:
    """Return the newest rows, and whether these are all."""
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
        yield part.data
        after = part.next
        if after is None:
            return


async def _names(request: Request, caller: Caller) -> Mapping[str, str]:
    """Return the names of keys by id. Only admins see the names of other keys."""
    if not caller.may(Scope.ADMIN):
        return {caller.key_id: "this key"}
    found = await keys.list_keys(request, caller, None, 1000)
    return {each.id: f"{each.name} ({each.person})" for each in found.data}


STAGES = ("queue", "predict", "gradient", "transform", "search", "join")


@dataclass(frozen=True)
class StageTimes:
    """The duration of one stage of answers, in milliseconds."""

    stage: str
    count: int
    """Number of answers with this stage."""
    mean: float
    median: float
    p99: float


def stage_times(registry: CollectorRegistry) -> list[StageTimes]:
    """Sum `byline_stage_seconds` over indexes. Stages that took no time are left out."""
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
    """Estimate a quantile as Prometheus' `histogram_quantile` does, by linear interpolation within a bucket.

    Args:
        cumulative: (upper bound, observations at or below it), ascending, the last bound infinite.
        q: A number between 0 and 1.
    """
    rank = q * cumulative[-1][1]
    below, start = 0, 0.0
    for bound, count in cumulative:
        if count >= rank and count > below:
            return start if bound == inf else start + (bound - start) * (rank - below) / (count - below)
        below, start = count, bound if bound != inf else start
    return start


def request_statuses(registry: CollectorRegistry) -> Mapping[int, int]:
    """Count the API's requests by HTTP status. Pages and their files are left out."""
    found: Counter[int] = Counter()
    for family in registry.collect():
        for sample in family.samples:
            if sample.name == "byline_requests_total" and sample.labels["route"].startswith("/v1"):
                found[int(sample.labels["status"])] += int(sample.value)
    return found


def _bound(text: str) -> float:
    return inf if text == "+Inf" else float(text)
