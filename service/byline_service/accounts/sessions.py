"""A browser's session: a signed cookie that names a key and when it ends. Nothing is stored on the server.

Revoking the key, or its expiry, ends the session too, since the key is looked up at every request.
"""

import base64
import binascii
import hmac
import json

from byline.errors import Unauthorized

COOKIE = "byline_session"
SECONDS = 12 * 3600
"""How long a browser stays signed in."""
EXPIRED = "expected a session that is still valid: sign in again at /login"


def write_session(key_id: str, now: float, secret: bytes) -> str:
    """Write the cookie of a session that begins now.

    Args:
        key_id: The key that was shown at the login.
        now: Seconds since 1970.
        secret: The service's.
    """
    payload = _encoded(json.dumps([key_id, int(now) + SECONDS]).encode())
    return f"{payload}.{_encoded(_signature(payload, secret))}"


def read_session(cookie: str, now: float, secret: bytes) -> str:
    """Read a session's cookie.

    Args:
        cookie: What the browser sent.
        now: Seconds since 1970.
        secret: The service's.

    Returns:
        The id of the key.

    Raises:
        Unauthorized: It was not written by this service, or the session is over.
    """
    payload, _, signature = cookie.partition(".")
    try:
        if not hmac.compare_digest(_signature(payload, secret), _decoded(signature)):
            raise Unauthorized(EXPIRED)
        key_id, end = json.loads(_decoded(payload))
    except (binascii.Error, UnicodeError, ValueError):
        raise Unauthorized(EXPIRED) from None
    # A clock that was far ahead and was put right must not leave a session that lasts for years.
    if not 0 < end - now <= 2 * SECONDS:
        raise Unauthorized(EXPIRED)
    return str(key_id)


def _signature(payload: str, secret: bytes) -> bytes:
    return hmac.digest(secret, b"session:" + payload.encode(), "sha256")


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
