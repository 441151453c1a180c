"""Checks of keys and sessions, with a cache for the time in which the database is unavailable.

Loaded indexes then continue to answer known callers. In return, a key that another process revoked may work for
`fresh_seconds`, or for `grace_seconds` while the database does not answer. So may a session that another process ended.
The expiry is checked with every request.
"""

import time
from datetime import UTC, datetime
from hashlib import sha256

from byline.errors import Unauthorized
from byline_service.accounts import key_queries, session_queries
from byline_service.accounts.confirmed_rows import REMEMBERED, ConfirmedRows
from byline_service.accounts.cookies import Cookies
from byline_service.accounts.key_queries import StoredKey
from byline_service.accounts.keys import NO_KEY, ApiKey, digest_key, parse_key, same_digest
from byline_service.accounts.secret import Secrets
from byline_service.accounts.sessions import EXPIRED, Session, read_session
from byline_service.database import Database

Renewed = dict[str, tuple[bytes, bytes]]
"""Stored digest and the one under the current secret, by key."""


class KeyCache:
    """Checks keys and sessions.

    Args:
        database: The database of the keys.
        secrets: Secrets of digests and sessions.
        secure_cookies: Whether browsers reach the service by https, though requests arrive by http.
        fresh_seconds: Seconds for which a key is trusted without a query.
        grace_seconds: Seconds for which a key is trusted while the database does not answer.
    """

    def __init__(
        self,
        database: Database,
        secrets: Secrets,
        *,
        secure_cookies: bool = False,
        fresh_seconds: float = 5.0,
        grace_seconds: float = 300.0,
    ) -> None:
        self.secrets = secrets
        """Secrets of digests and sessions."""
        self.cookies = Cookies(secure=secure_cookies)
        """Cookies of sessions and of the login page."""
        self.keys = ConfirmedRows(self._find_key, fresh_seconds, grace_seconds)
        """Stored keys by id."""
        self._open_sessions = ConfirmedRows(self._find_open_session, fresh_seconds, grace_seconds)
        self._database = database
        self._used: dict[str, datetime] = {}
        self._fitted: dict[str, tuple[bytes, bytes]] = {}
        self._renewed: Renewed = {}

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
        stored = await self.keys.find(given.id)
        if stored is None or not self._fits(given, stored):
            raise Unauthorized(NO_KEY)
        return self._active(stored)

    def _fits(self, given: ApiKey, stored: StoredKey) -> bool:
        """Return whether a key matches the stored one. A cheaper digest of the last match saves the HMAC."""
        seen = sha256(given.text.encode()).digest()
        fitted, by_digest = self._fitted.get(stored.id, (b"", b""))
        if same_digest(by_digest, stored.digest) and same_digest(fitted, seen):
            return True
        digests = [digest_key(given, secret) for secret in self.secrets.accepted]
        fits = [same_digest(stored.digest, each) for each in digests]
        if any(fits):
            self._fitted[stored.id] = seen, stored.digest
            if len(self._fitted) > REMEMBERED:
                self._fitted.pop(next(iter(self._fitted)))
        if any(fits) and not fits[0]:
            self._renewed[stored.id] = stored.digest, digests[0]
        return any(fits)

    async def by_session(self, cookie: str) -> StoredKey:
        """Check a session cookie.

        Returns:
            The stored key of the session.

        Raises:
            Unauthorized: The session has expired or was ended, or its key is revoked or expired.
            DatabaseUnavailable: The key is not cached, and the database does not answer.
        """
        session = read_session(cookie, time.time(), self.secrets)
        stored = await self.keys.find(session.key_id)
        if stored is None:
            raise Unauthorized(NO_KEY)
        if not await self._open_sessions.find(session.id):
            raise Unauthorized(EXPIRED)
        return self._active(stored)

    def forget(self, key_id: str) -> None:
        """Drop a changed key from the cache."""
        self.keys.forget(key_id)

    def forget_session(self, session: Session) -> None:
        """Drop an ended session from the cache."""
        self._open_sessions.forget(session.id)

    def take_last_used(self) -> dict[str, datetime]:
        """Return the times of use since the last call, by key."""
        used, self._used = self._used, {}
        return used

    def take_renewed(self) -> Renewed:
        """Return the digests that are to be replaced, since a key was used whose digest has the second secret."""
        renewed, self._renewed = self._renewed, {}
        return renewed

    def give_back_renewed(self, renewed: Renewed) -> None:
        """Add digests back that could not be written."""
        self._renewed = renewed | self._renewed

    def _active(self, stored: StoredKey) -> StoredKey:
        now = datetime.now(UTC)
        if not stored.active(now):
            raise Unauthorized("expected a valid key, got one that is revoked or expired")
        self._used[stored.id] = now
        return stored

    async def _find_key(self, key_id: str) -> StoredKey | None:
        async with self._database.read() as reading:
            return await key_queries.find(reading, key_id)

    async def _find_open_session(self, session_id: str) -> bool | None:
        async with self._database.read() as reading:
            return None if await session_queries.is_ended(reading, session_id) else True
