"""Quotas of keys per minute. On PostgreSQL all replicas count together, on SQLite each process counts alone."""

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
"""Seconds that the clock must be set back to be noticed."""
ALONE_SECONDS = 5.0
"""Seconds for which a replica counts alone after the database did not answer."""


@dataclass(frozen=True)
class Window:
    """The state of a quota in the current minute."""

    kind: Kind
    """The counted quantity."""
    limit: int
    """Most per minute."""
    remaining: int
    """Rest of the quota."""
    seconds: int
    """Seconds until the next minute."""


class Counter(Protocol):
    """Counts costs in windows of a minute."""

    async def take(self, name: str, cost: int, limit: int) -> tuple[bool, int, float]:
        """Take a cost from a window.

        Returns:
            (whether the cost was taken, the content of the window, seconds until its end).
        """


class MemoryCounter:
    """Counts in this process.

    Windows end by the wall clock. If the clock is set back, all windows start again, so that none lasts until a minute
    in the future.
    """

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self._limiter = FixedWindowRateLimiter(self._storage)
        self._ahead = time.time() - time.monotonic()

    async def take(self, name: str, cost: int, limit: int) -> tuple[bool, int, float]:
        """Take a cost from a window, unless the limit would be passed."""
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
    """Counts in the database with the other replicas. In this process while the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._alone = MemoryCounter()
        self._alone_until = 0.0

    async def take(self, name: str, cost: int, limit: int) -> tuple[bool, int, float]:
        """Take a cost from a window, unless the limit would be passed."""
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
    """Enforces the quotas of keys.

    Args:
        counter: The counter.
        requests_per_minute: Quota of keys without one of their own. None sets no limit.
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
        """Charge a cost to a key's quota.

        Args:
            key: The key.
            kind: The quantity.
            cost: The cost.

        Returns:
            The state of the quota. None if the key has no such quota.

        Raises:
            QuotaExceeded: The rest is too small. Nothing was taken.
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
                f"quota of {limit} {kind} a minute exceeded, {window.remaining} left: wait {window.seconds} s",
                window.seconds,
            )
        return window


def quota_headers(windows: list[Window]) -> dict[str, str]:
    """Return the headers `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers)."""
    if not windows:
        return {}
    return {
        "RateLimit-Policy": ", ".join(f'"{each.kind}";q={each.limit};w={SECONDS}' for each in windows),
        "RateLimit": ", ".join(f'"{each.kind}";r={each.remaining};t={each.seconds}' for each in windows),
    }
