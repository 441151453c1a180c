"""Failed logins until they are written to the audit log, added up so that strangers cannot fill it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from byline_service.accounts import audit
from byline_service.accounts.scopes import Caller
from byline_service.database import Connection

LINES_A_MINUTE = 20.0
"""Most lines of the audit log about failed logins, in a minute."""
MOST_APART = 1000
"""Most pairs of key and address that are counted apart."""
_OTHERS = (None, "")


@dataclass(frozen=True)
class FailedLogin:
    """Failed logins with one key from one address, since the last line about them."""

    key_id: str | None
    """Id of the key, if it exists: it is revoked, expired or has other secret characters. None for any other key."""
    person: str
    """Person of the key. Empty without a key."""
    address: str
    """Address of the client. Empty for clients that were not counted apart."""
    attempts: int
    """Number of attempts."""


class FailedLogins:
    """Counts failed logins in memory.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counted: dict[tuple[str | None, str], FailedLogin] = {}
        self._allowed, self._since = LINES_A_MINUTE, clock()

    def add(self, login: FailedLogin) -> None:
        """Count failed logins."""
        which = login.key_id, login.address
        if which not in self._counted and len(self._counted) >= MOST_APART:
            which, login = _OTHERS, FailedLogin(None, "", "", login.attempts)
        known = self._counted.get(which)
        attempts = login.attempts + (0 if known is None else known.attempts)
        self._counted[which] = FailedLogin(login.key_id, login.person, login.address, attempts)

    def take(self) -> list[FailedLogin]:
        """Return what may be written now. The last one has the rest if there are more than the minute allows."""
        now = self._clock()
        self._allowed = min(LINES_A_MINUTE, self._allowed + (now - self._since) * LINES_A_MINUTE / 60)
        self._since = now
        lines = int(self._allowed)
        if not self._counted or not lines:
            return []
        counted, self._counted = list(self._counted.values()), {}
        if len(counted) > lines:
            rest = sum(each.attempts for each in counted[lines - 1 :])
            counted = [*counted[: lines - 1], FailedLogin(None, "", "", rest)]
        self._allowed -= len(counted)
        return counted


async def record(transaction: Connection, logins: list[FailedLogin]) -> None:
    """Write failed logins to the audit log."""
    for login in logins:
        caller = Caller(key_id=login.key_id or "", person=login.person, scopes=frozenset())
        details = {"address": login.address, "attempts": login.attempts}
        await audit.record(transaction, caller, "sessions.refuse", login.key_id or "", details)
