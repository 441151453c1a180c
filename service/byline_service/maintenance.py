"""What is written now and then, away from requests: usage, when keys were used; and what is forgotten."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from byline.errors import BylineError
from byline_service import idempotency
from byline_service.accounts import key_queries, quota_queries, usage
from byline_service.accounts.quotas import SECONDS as QUOTA_SECONDS
from byline_service.accounts.usage import UsageOf, Used

if TYPE_CHECKING:
    from byline_service.accounts.key_cache import KeyCache
    from byline_service.database import Database

log = structlog.get_logger("service")
SECONDS = 5.0
"""Between two times; a crash loses the usage of at most as long."""
FORGET_SECONDS = 3600.0
IDEMPOTENCY_DAYS = 30
"""How long an answer is kept for repetitions of its request."""
STEPPED_SECONDS = 3600.0
"""A clock that was set by more since the start is not trusted with what is too old to keep."""


class Usage:
    """Sums up what was asked, until it is written."""

    def __init__(self) -> None:
        self._sums: dict[UsageOf, Used] = {}

    def add(self, key_id: str, index: str, queries: int, milliseconds: float) -> None:
        """Count one answered request."""
        used = self._sums.setdefault(UsageOf(datetime.now(UTC).date(), key_id, index), Used())
        used.requests += 1
        used.queries += queries
        used.milliseconds += milliseconds

    def take(self) -> dict[UsageOf, Used]:
        """Take the sums to write them."""
        sums, self._sums = self._sums, {}
        return sums

    def give_back(self, sums: dict[UsageOf, Used]) -> None:
        """Keep sums that could not be written."""
        for which, more in sums.items():
            used = self._sums.setdefault(which, Used())
            used.requests += more.requests
            used.queries += more.queries
            used.milliseconds += more.milliseconds


async def run_maintenance(database: "Database", accounts: "KeyCache", used: Usage) -> None:
    """Write and forget for ever; what cannot be written waits until it can."""
    passed, ahead = FORGET_SECONDS, _ahead()
    while True:
        await asyncio.sleep(SECONDS)
        passed += SECONDS
        await write(database, accounts, used)
        if passed >= FORGET_SECONDS and abs(_ahead() - ahead) < STEPPED_SECONDS and await forget(database):
            passed = 0.0


async def write(database: "Database", accounts: "KeyCache", used: Usage) -> None:
    """Write what was summed up so far."""
    sums, touched = used.take(), accounts.take_used()
    if not sums and not touched:
        return
    try:
        async with database.begin() as transaction:
            await usage.add(transaction, sums)
            await key_queries.touch(transaction, touched)
    except BaseException as error:  # a cancelled one too: its sums are written at the end
        used.give_back(sums)
        if not isinstance(error, BylineError):
            raise
        log.warning("usage not written yet", detail=str(error))


def _ahead() -> float:
    """The clock of the day, beside the one that nobody sets."""
    return time.time() - time.monotonic()


async def forget(database: "Database") -> bool:
    """Delete what is too old to matter.

    Args:
        database: Where it is.

    Returns:
        Whether that could be done.
    """
    now = datetime.now(UTC)
    try:
        async with database.begin() as transaction:
            await idempotency.forget(transaction, now - timedelta(days=IDEMPOTENCY_DAYS))
            await quota_queries.forget(transaction, now, timedelta(seconds=QUOTA_SECONDS))
    except BylineError:
        return False
    return True
