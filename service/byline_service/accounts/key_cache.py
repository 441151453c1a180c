"""Who asks: keys and sessions checked against the database, which may be away for a while.

A key that was found is believed for `fresh_seconds` without asking again, and for `grace_seconds` while the
database does not answer: loaded indexes then go on answering whoever asked before. The price is that a key that
another process revoked goes on working that long. Expiry is checked every time.
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
"""Keys that are remembered at most."""


@dataclass(frozen=True)
class _Remembered:
    key: StoredKey
    found: float
    """When the database last told of it."""
    asked: float
    """When the database was last asked; where it does not answer, waiting for that each time would take too long."""


class KeyCache:
    """Checks keys and sessions.

    Args:
        database: Where the keys are.
        secret: What their digests and the sessions are made with.
        fresh_seconds: How long a key that was found is believed without asking again.
        grace_seconds: The same while the database does not answer.
    """

    def __init__(
        self, database: Database, secret: bytes, *, fresh_seconds: float = 5.0, grace_seconds: float = 300.0
    ) -> None:
        self.secret = secret
        self._database = database
        self._fresh_seconds = fresh_seconds
        self._grace_seconds = grace_seconds
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()
        self._used: dict[str, datetime] = {}
        self._fitted: dict[str, tuple[bytes, bytes]] = {}
        self._asking: dict[str, asyncio.Future[StoredKey | None]] = {}

    async def by_key(self, text: str) -> StoredKey:
        """Check a key.

        Args:
            text: As the client sent it.

        Returns:
            What the database knows of it.

        Raises:
            Unauthorized: It is unknown, revoked or expired.
            DatabaseUnavailable: It is not remembered, and the database does not answer.
        """
        given = parse_key(text)
        stored = await self._find(given.id)
        if stored is None or not self._fits(given, stored):
            raise Unauthorized(NO_KEY)
        return self._active(stored)

    def _fits(self, given: ApiKey, stored: StoredKey) -> bool:
        """Whether a key is the stored one; remembers the last that was, by a digest that costs less than the HMAC."""
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
        """Check a session's cookie.

        Returns:
            What the database knows of its key.

        Raises:
            Unauthorized: The session is over, or its key is revoked or expired.
            DatabaseUnavailable: The key is not remembered, and the database does not answer.
        """
        stored = await self._find(read_session(cookie, time.time(), self.secret))
        if stored is None:
            raise Unauthorized(NO_KEY)
        return self._active(stored)

    def forget(self, key_id: str) -> None:
        """Ask the database again about a key: it was changed."""
        self._remembered.pop(key_id, None)

    def take_used(self) -> dict[str, datetime]:
        """Take when keys were used since the last time this was called."""
        used, self._used = self._used, {}
        return used

    def _active(self, stored: StoredKey) -> StoredKey:
        now = datetime.now(UTC)
        if not stored.active(now):
            raise Unauthorized("expected a key that is still valid, got one that is revoked or expired")
        self._used[stored.id] = now
        return stored

    async def _find(self, key_id: str) -> StoredKey | None:
        known = self._remembered.get(key_id)
        now = time.monotonic()
        if known is not None and now - known.asked < self._fresh_seconds:
            return known.key
        asking = self._asking.get(key_id)
        if asking is None:
            # One for all who wait: when a key is no longer fresh, every client of it comes at once.
            asking = self._asking[key_id] = asyncio.ensure_future(self._ask(key_id, known, now))
            asking.add_done_callback(partial(self._asked, key_id))
        return await asyncio.shield(asking)

    def _asked(self, key_id: str, asking: "asyncio.Future[StoredKey | None]") -> None:
        self._asking.pop(key_id, None)
        if not asking.cancelled():
            asking.exception()  # whoever waited may have left

    async def _ask(self, key_id: str, known: _Remembered | None, now: float) -> StoredKey | None:
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
        self._remembered[stored.id] = _Remembered(stored, now, now)
        self._remembered.move_to_end(stored.id)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
