"""Periodic work outside requests: usage and last use of keys are written, expired rows are deleted."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from byline.errors import BylineError
from byline_service import idempotency
from byline_service.accounts import key_queries, quota_queries, usage
from byline_service.accounts.quotas import SECONDS as QUOTA_SECONDS
from byline_service.accounts.usage import UsageBuffer

if TYPE_CHECKING:
    from byline_service.accounts.key_cache import KeyCache
    from byline_service.database import Database

log = structlog.get_logger("service")
SECONDS = 5.0
"""Seconds between two writes. A crash loses the usage of at most this time."""
FORGET_SECONDS = 3600.0
IDEMPOTENCY_DAYS = 30
"""Days for which an answer is kept for repeated requests."""
STEPPED_SECONDS = 3600.0
"""Seconds of a clock change after which no old row is deleted: the clock is not trusted then."""


async def run_maintenance(database: "Database", accounts: "KeyCache", used: UsageBuffer) -> None:
    """Write usage and delete expired rows until cancelled. A failed write is tried again later."""
    passed, ahead = FORGET_SECONDS, _ahead()
    while True:
        await asyncio.sleep(SECONDS)
        passed += SECONDS
        await write(database, accounts, used)
        if passed >= FORGET_SECONDS and abs(_ahead() - ahead) < STEPPED_SECONDS and await forget(database):
            passed = 0.0


async def write(database: "Database", accounts: "KeyCache", used: UsageBuffer) -> None:
    """Write the usage that was accumulated."""
    sums, touched = used.take(), accounts.take_last_used()
    if not sums and not touched:
        return
    try:
        async with database.begin() as transaction:
            await usage.add(transaction, sums)
            await key_queries.touch(transaction, touched)
    except BaseException as error:  # also when cancelled: the sums are written at shutdown
        used.give_back(sums)
        if not isinstance(error, BylineError):
            raise
        log.warning("usage not written", detail=str(error))


def _ahead() -> float:
    """Return the difference between the wall clock and the monotonic clock."""
    return time.time() - time.monotonic()


async def forget(database: "Database") -> bool:
    """Delete expired rows.

    Args:
        database: The database.

    Returns:
        Whether the rows could be deleted.
    """
    now = datetime.now(UTC)
    try:
        async with database.begin() as transaction:
            await idempotency.forget(transaction, now - timedelta(days=IDEMPOTENCY_DAYS))
            await quota_queries.forget(transaction, now, timedelta(seconds=QUOTA_SECONDS))
    except BylineError:
        return False
    return True
