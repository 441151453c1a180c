"""A cache of keys, so that known keys work while the database is unavailable.

A key is trusted for `fresh_seconds` without a query, and for `grace_seconds` while the database does not answer: loaded
indexes then continue to answer known callers. In return, a key that another process revoked may work that long. The
expiry is checked with every request.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256

from byline.errors import DatabaseUnavailable, Unauthorized
from byline_service.accounts import key_queries
from byline_service.accounts.key_queries import StoredKey
from byline_service.accounts.keys import NO_KEY, ApiKey, digest_key, parse_key, same_digest
from byline_service.accounts.sessions import read_session
from byline_service.database import Database

REMEMBERED = 10_000
"""Most keys in the cache."""


@dataclass(frozen=True)
class _CachedKey:
    key: StoredKey
    found: float
    """Time at which the database last returned the key."""
    asked: float
    """Time of the last query. While the database does not answer, a query with each request would take too long."""


class KeyCache:
    """Checks keys and sessions.

    Args:
        database: The database of the keys.
        secret: Secret of digests and sessions.
        fresh_seconds: Seconds for which a key is trusted without a query.
        grace_seconds: Seconds for which a key is trusted while the database does not answer.
    """

    def __init__(
        self, database: Database, secret: bytes, *, fresh_seconds: float = 5.0, grace_seconds: float = 300.0
    ) -> None:
        self.secret = secret
        self._database = database
        self._fresh_seconds = fresh_seconds
        self._grace_seconds = grace_seconds
        self._remembered: OrderedDict[str, _CachedKey] = OrderedDict()
        self._used: dict[str, datetime] = {}
        self._fitted: dict[str, tuple[bytes, bytes]] = {}
        self._asking: dict[str, asyncio.Future[StoredKey | None]] = {}

    async def by_key(self, text: str) -> StoredKey:
        """Check a key.

        Args:
            text: The key from the client.

        Returns:
            The stored key.

        Raises:
            Unauthorized: The key is unknown, revoked or expired.
            DatabaseUnavailable: The key is not cached, and the database does not answer.
        """
        given = parse_key(text)
        stored = await self._find(given.id)
        if stored is None or not self._fits(given, stored):
            raise Unauthorized(NO_KEY)
        return self._active(stored)

    def _fits(self, given: ApiKey, stored: StoredKey) -> bool:
        """Return whether a key matches the stored one. A cheaper digest of the last match saves the HMAC."""
        seen = sha256(given.text.encode()).digest()
        fitted, by_digest = self._fitted.get(stored.id, (b"", b""))
        if same_digest(by_digest, stored.digest) and same_digest(fitted, seen):
            return True
        fits = same_digest(stored.digest, digest_key(given, self.secret))
        if fits:
            self._fitted[stored.id] = seen, stored.digest
            if len(self._fitted) > REMEMBERED:
                self._fitted.pop(next(iter(self._fitted)))
        return fits

    async def by_session(self, cookie: str) -> StoredKey:
        """Check a session cookie.

        Returns:
            The stored key of the session.

        Raises:
            Unauthorized: The session has expired, or its key is revoked or expired.
            DatabaseUnavailable: The key is not cached, and the database does not answer.
        """
        stored = await self._find(read_session(cookie, time.time(), self.secret))
        if stored is None:
            raise Unauthorized(NO_KEY)
        return self._active(stored)

    def forget(self, key_id: str) -> None:
        """Drop a changed key from the cache."""
        self._remembered.pop(key_id, None)

    def take_last_used(self) -> dict[str, datetime]:
        """Return the times of use since the last call, by key."""
        used, self._used = self._used, {}
        return used

    def _active(self, stored: StoredKey) -> StoredKey:
        now = datetime.now(UTC)
        if not stored.active(now):
            raise Unauthorized("expected a valid key, got one that is revoked or expired")
        self._used[stored.id] = now
        return stored

    async def _find(self, key_id: str) -> StoredKey | None:
        known = self._remembered.get(key_id)
        now = time.monotonic()
        if known is not None and now - known.asked < self._fresh_seconds:
            return known.key
        asking = self._asking.get(key_id)
        if asking is None:
            # One query for all requests: when a cached key expires, every client that uses it arrives at once.
            asking = self._asking[key_id] = asyncio.ensure_future(self._ask(key_id, known, now))
            asking.add_done_callback(partial(self._asked, key_id))
        return await asyncio.shield(asking)

    def _asked(self, key_id: str, asking: "asyncio.Future[StoredKey | None]") -> None:
        self._asking.pop(key_id, None)
        if not asking.cancelled():
            asking.exception()  # marks it as retrieved: the waiting request may have been cancelled

    async def _ask(self, key_id: str, known: _CachedKey | None, now: float) -> StoredKey | None:
        try:
            async with self._database.read() as reading:
                stored = await key_queries.find(reading, key_id)
        except DatabaseUnavailable:
            if known is None or now - known.found >= self._grace_seconds:
                raise
            self._remembered[key_id] = replace(known, asked=time.monotonic())
            return known.key
        if stored is not None:
            self._remember(stored, now)
        return stored

    def _remember(self, stored: StoredKey, now: float) -> None:
        self._remembered[stored.id] = _CachedKey(stored, now, now)
        self._remembered.move_to_end(stored.id)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
