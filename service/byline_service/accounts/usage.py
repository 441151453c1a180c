"""What keys asked of indexes, by day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from byline_service.database import Connection
from byline_service.database.tables.accounts import usage


@dataclass(frozen=True, order=True)
class UsageOf:
    """Which sum something belongs to."""

    day: date
    """In UTC."""
    key_id: str
    """Whose key."""
    index_name: str
    """Which index."""


@dataclass
class Used:
    """A sum."""

    requests: int = 0
    """Answered."""
    queries: int = 0
    """In them."""
    milliseconds: float = 0.0
    """From queue to answer, summed over queries."""


async def add(transaction: Connection, sums: Mapping[UsageOf, Used]) -> None:
    """Add sums to those of the database."""
    make = sqlite.insert if transaction.dialect.name == "sqlite" else postgresql.insert
    for which in sorted(sums):  # one order in all replicas: no deadlock
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
    transaction: Connection, since: date, key_id: str | None, before: UsageOf | None, limit: int
) -> list[Mapping[str, Any]]:
    """Read sums, the newest day first.

    Args:
        transaction: An open transaction.
        since: The first day.
        key_id: Of one key; None: of all.
        before: Only what follows this one.
        limit: How many at most.
    """
    order = (usage.c.day, usage.c.key_id, usage.c.index_name)
    chosen = select(usage).where(usage.c.day >= since).order_by(*(each.desc() for each in order)).limit(limit)
    if key_id is not None:
        chosen = chosen.where(usage.c.key_id == key_id)
    if before is not None:
        last = (before.day, before.key_id, before.index_name)
        chosen = chosen.where(tuple_(*order) < tuple_(*last))
    return [dict(row) for row in (await transaction.execute(chosen)).mappings()]
