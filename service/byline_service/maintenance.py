"""Periodic work outside requests: what was counted is written, expired rows are deleted."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from byline.errors import BylineError
from byline_service import idempotency
from byline_service.accounts import failed_logins, key_queries, quota_queries, session_queries, usage
from byline_service.accounts.quotas import SECONDS as QUOTA_SECONDS
from byline_service.answers import answer_queries

if TYPE_CHECKING:
    from byline_service.database import Database
    from byline_service.state import AppState

log = structlog.get_logger("service")
SECONDS = 5.0
"""Seconds between two writes. A crash loses the usage of at most this time."""
FORGET_SECONDS = 3600.0
IDEMPOTENCY_DAYS = 30
"""Days for which an answer is kept for repeated requests."""
STEPPED_SECONDS = 3600.0
"""Seconds of a clock change after which no old row is deleted: the clock is not trusted then."""


async def run_maintenance(service: "AppState") -> None:
    """Write what was counted and delete expired rows until cancelled. A failed write is tried again later."""
    passed, ahead = FORGET_SECONDS, _ahead()
    while True:
        await asyncio.sleep(SECONDS)
        passed += SECONDS
        await write(service)
        trusted = abs(_ahead() - ahead) < STEPPED_SECONDS
        if passed >= FORGET_SECONDS and trusted and await forget(service.database):
            passed = 0.0


async def write(service: "AppState") -> None:
    """Write the usage that was accumulated, the last use of keys and their renewed digests, and failed logins."""
    accounts = service.accounts
    sums, touched, renewed = service.usage.take(), accounts.take_last_used(), accounts.take_renewed()
    logins = service.failed_logins.take()
    if not (sums or touched or renewed or logins):
        return
    try:
        async with service.database.begin() as transaction:
            await usage.add(transaction, sums)
            await key_queries.touch(transaction, touched)
            await key_queries.renew_digests(transaction, renewed)
            await failed_logins.record(transaction, logins)
    except BaseException as error:  # also when cancelled: the sums are written at shutdown
        service.usage.give_back(sums)
        for login in logins:
            service.failed_logins.add(login)
        accounts.give_back_renewed(renewed)
        if not isinstance(error, BylineError):
            raise
        log.warning("usage not written", detail=str(error))
        return
    for key_id in renewed:
        accounts.forget(key_id)


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
            await session_queries.forget(transaction, now)
            await answer_queries.forget(transaction, now)
    except BylineError:
        return False
    return True
