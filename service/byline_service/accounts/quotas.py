"""How much a key may ask a minute. On PostgreSQL all replicas count together, otherwise each process counts alone."""

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from byline.errors import DatabaseUnavailable, DiskFull, QuotaExceeded
from byline_service.accounts import quota_queries
from byline_service.accounts.key_queries import StoredKey
from byline_service.database import Database

Kind = Literal["requests", "queries"]
SECONDS = 60
PUT_BACK_SECONDS = 1.0
"""By how much a clock must be put back to be noticed."""
ALONE_SECONDS = 5.0
"""How long a replica counts alone before it asks a database again that did not answer."""


@dataclass(frozen=True)
class Window:
    """What a quota's current minute holds."""

    kind: Kind
    """What is counted."""
    limit: int
    """The most in a minute."""
    remaining: int
    """How much is left."""
    seconds: int
    """When the next minute begins."""


class Counter(Protocol):
    """Counts what is taken in windows of a minute."""

    async def take(self, name: str, cost: int, limit: int) -> tuple[bool, int, float]:
        """Take from a window.

        Returns:
            (whether there was enough, how much the window holds, seconds until it ends).
        """


class MemoryCounter:
    """Counts in this process.

    Windows end by the clock of the day. Where that is put back, all of them begin anew: nobody waits for a minute
    that lies in the future.
    """

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self._limiter = FixedWindowRateLimiter(self._storage)
        self._ahead = time.time() - time.monotonic()

    async def take(self, name: str, cost: int, limit: int) -> tuple[bool, int, float]:
        """Take from a window, unless it would hold more than the limit."""
        await self._begin_anew_if_put_back()
        item = RateLimitItemPerMinute(limit)
        taken = await self._limiter.test(item, name, cost=cost)
        if taken:
            taken = await self._limiter.hit(item, name, cost=cost)
        stats = await self._limiter.get_window_stats(item, name)
        return taken, limit - stats.remaining, stats.reset_time - time.time()

    async def _begin_anew_if_put_back(self) -> None:
        ahead = time.time() - time.monotonic()
        if ahead < self._ahead - PUT_BACK_SECONDS:
            await self._storage.reset()
        self._ahead = ahead


class SharedCounter:
    """Counts in the database, together with other replicas; in this process while it does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._alone = MemoryCounter()
        self._alone_until = 0.0

    async def take(self, name: str, cost: int, limit: int) -> tuple[bool, int, float]:
        """Take from a window, unless it would hold more than the limit."""
        if time.monotonic() < self._alone_until:
            return await self._alone.take(name, cost, limit)
        now = datetime.now(UTC)
        try:
            async with self._database.begin() as transaction:
                taken, amount, end = await quota_queries.take(
                    transaction, name, cost, limit, now, timedelta(seconds=SECONDS)
                )
        except (DatabaseUnavailable, DiskFull):
            self._alone_until = time.monotonic() + ALONE_SECONDS
            return await self._alone.take(name, cost, limit)
        return taken, amount, (end - now).total_seconds()


class Quotas:
    """Holds callers to their quotas.

    Args:
        counter: Counts.
        requests_per_minute: Of a key that has no quota of its own; None: as many as there is room for.
        queries_per_minute: The same for queries.
    """

    def __init__(
        self, counter: Counter, requests_per_minute: int | None, queries_per_minute: int | None
    ) -> None:
        self._counter = counter
        self._defaults: dict[Kind, int | None] = {
            "requests": requests_per_minute,
            "queries": queries_per_minute,
        }

    async def take(self, key: StoredKey, kind: Kind, cost: int = 1) -> Window | None:
        """Take from a key's quota.

        Args:
            key: Whose.
            kind: Which.
            cost: How much.

        Returns:
            What is left; None where the key has no such quota.

        Raises:
            QuotaExceeded: There is not enough left; nothing was taken.
        """
        own = key.requests_per_minute if kind == "requests" else key.queries_per_minute
        limit = own or self._defaults[kind]
        if limit is None:
            return None
        if cost > limit:
            raise QuotaExceeded(
                f"expected at most {limit} {kind} a minute, got {cost} at once: ask for less", SECONDS
            )
        taken, held, seconds = await self._counter.take(f"{key.id}/{kind}", cost, limit)
        window = Window(kind, limit, max(0, limit - held), max(1, math.ceil(seconds)))
        if not taken:
            raise QuotaExceeded(
                f"the key's quota of {limit} {kind} a minute has {window.remaining} left: wait",
                window.seconds,
            )
        return window


def quota_headers(windows: list[Window]) -> dict[str, str]:
    """Write the headers `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers)."""
    if not windows:
        return {}
    return {
        "RateLimit-Policy": ", ".join(f'"{each.kind}";q={each.limit};w={SECONDS}' for each in windows),
        "RateLimit": ", ".join(f'"{each.kind}";r={each.remaining};t={each.seconds}' for each in windows),
    }
