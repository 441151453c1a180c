"""Usage until it is written, and its SQL: requests and queries by day, key and index."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from byline_service.database import Connection
from byline_service.database.tables.accounts import usage


@dataclass(frozen=True, order=True)
class UsageKey:
    """Identity of a usage row."""

    day: date
    """Day in UTC."""
    key_id: str
    """Key of the requests."""
    index_name: str
    """Index of the requests."""


@dataclass
class UsageTotals:
    """Totals of a usage row."""

    requests: int = 0
    """Number of answered requests."""
    queries: int = 0
    """Number of queries in them."""
    milliseconds: float = 0.0
    """Time from queue to answer, summed over queries."""


class UsageBuffer:
    """Accumulates usage in memory until it is written."""

    def __init__(self) -> None:
        self._sums: dict[UsageKey, UsageTotals] = {}

    def add(self, key_id: str, index: str, queries: int, milliseconds: float) -> None:
        """Count one answered request."""
        used = self._sums.setdefault(UsageKey(datetime.now(UTC).date(), key_id, index), UsageTotals())
        used.requests += 1
        used.queries += queries
        used.milliseconds += milliseconds

    def take(self) -> dict[UsageKey, UsageTotals]:
        """Return the sums and start again from zero."""
        sums, self._sums = self._sums, {}
        return sums

    def give_back(self, sums: dict[UsageKey, UsageTotals]) -> None:
        """Add sums back that could not be written."""
        for which, more in sums.items():
            used = self._sums.setdefault(which, UsageTotals())
            used.requests += more.requests
            used.queries += more.queries
            used.milliseconds += more.milliseconds


async def add(transaction: Connection, sums: Mapping[UsageKey, UsageTotals]) -> None:
    """Add totals to the rows of the database."""
    make = sqlite.insert if transaction.dialect.name == "sqlite" else postgresql.insert
    for which in sorted(sums):  # the same order in all replicas, so that none deadlocks
        more = sums[which]
        row = make(usage).values(
            day=which.day,
            key_id=which.key_id,
            index_name=which.index_name,
            requests=more.requests,
            queries=more.queries,
            milliseconds=round(more.milliseconds),
        )
        added = {name: usage.c[name] + row.excluded[name] for name in ("requests", "queries", "milliseconds")}
        await transaction.execute(
            row.on_conflict_do_update(index_elements=list(usage.primary_key.columns), set_=added)
        )


async def page(
    transaction: Connection, since: date, key_id: str | None, before: UsageKey | None, limit: int
) -> list[Mapping[str, Any]]:
    """Return usage rows, the newest day first.

    Args:
        transaction: An open transaction.
        since: First day.
        key_id: Only rows of this key. None for all keys.
        before: Only rows that follow this one.
        limit: Most rows to return.
    """
    order = (usage.c.day, usage.c.key_id, usage.c.index_name)
    chosen = select(usage).where(usage.c.day >= since).order_by(*(each.desc() for each in order)).limit(limit)
    if key_id is not None:
        chosen = chosen.where(usage.c.key_id == key_id)
    if before is not None:
        last = (before.day, before.key_id, before.index_name)
        chosen = chosen.where(tuple_(*order) < tuple_(*last))
    return [dict(row) for row in (await transaction.execute(chosen)).mappings()]
