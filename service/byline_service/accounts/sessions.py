"""Browser sessions: a signed cookie with a key and an expiry. The server stores nothing.

The key is looked up with every request, so its revocation or expiry ends the session too.
"""

import base64
import binascii
import hmac
import json

from byline.errors import Unauthorized

COOKIE = "byline_session"
SECONDS = 12 * 3600
"""Length of a session in seconds."""
EXPIRED = "expected a session that is still valid: sign in again at /login"


def write_session(key_id: str, now: float, secret: bytes) -> str:
    """Return the cookie of a new session.

    Args:
        key_id: The key of the login.
        now: Seconds since 1970.
        secret: The service's secret.
    """
    payload = _encoded(json.dumps([key_id, int(now) + SECONDS]).encode())
    return f"{payload}.{_encoded(_signature(payload, secret))}"


def read_session(cookie: str, now: float, secret: bytes) -> str:
    """Check a session cookie.

    Args:
        cookie: The cookie from the browser.
        now: Seconds since 1970.
        secret: The service's secret.

    Returns:
        The id of the key.

    Raises:
        Unauthorized: This service did not sign the cookie, or the session has expired.
    """
    payload, _, signature = cookie.partition(".")
    try:
        if not hmac.compare_digest(_signature(payload, secret), _decoded(signature)):
            raise Unauthorized(EXPIRED)
        key_id, end = json.loads(_decoded(payload))
    except (binascii.Error, UnicodeError, ValueError):
        raise Unauthorized(EXPIRED) from None
    # If the clock was far ahead and was put right, a session must not last for years.
    if not 0 < end - now <= 2 * SECONDS:
        raise Unauthorized(EXPIRED)
    return str(key_id)


def _signature(payload: str, secret: bytes) -> bytes:
    return hmac.digest(secret, b"session:" + payload.encode(), "sha256")


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
