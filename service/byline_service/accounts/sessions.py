"""Browser sessions: a signed cookie with the session, its key and its end. The database has the sessions that were ended.

The key is looked up with every request, so its revocation or expiry ends the session too.
"""

import secrets as random
from dataclasses import dataclass

from byline.errors import Unauthorized
from byline_service.accounts.secret import Secrets
from byline_service.accounts.signed_values import read_signed, write_signed

COOKIE = "byline_session"
"""Name of the cookie over plain http. Over https it has the prefix `__Host-`."""
SECONDS = 12 * 3600
"""Length of a session in seconds."""
EXPIRED = "expected a session that is still valid: sign in again at /login"
_PURPOSE = "session"


@dataclass(frozen=True)
class Session:
    """A session, as its cookie states it."""

    id: str
    """Id of the session. It is not secret."""
    key_id: str
    """Id of the key of the login."""
    end: float
    """End of the session, in seconds since 1970."""


def write_session(key_id: str, now: float, secret: bytes) -> str:
    """Return the cookie of a new session.

    Args:
        key_id: The key of the login.
        now: Seconds since 1970.
        secret: The service's secret.
    """
    return write_signed(_PURPOSE, [random.token_urlsafe(12), key_id, int(now) + SECONDS], secret)


def read_session(cookie: str, now: float, secrets: Secrets) -> Session:
    """Check a session cookie.

    Args:
        cookie: The cookie from the browser.
        now: Seconds since 1970.
        secrets: The service's secrets.

    Returns:
        The session. Whether it was ended is for the database to say.

    Raises:
        Unauthorized: This service did not sign the cookie, or the session has expired.
    """
    values = read_signed(_PURPOSE, cookie, secrets)
    if values is None or len(values) != 3:
        raise Unauthorized(EXPIRED)
    session = Session(str(values[0]), str(values[1]), float(values[2]))
    # If the clock was far ahead and was put right, a session must not last for years.
    if not 0 < session.end - now <= 2 * SECONDS:
        raise Unauthorized(EXPIRED)
    return session
