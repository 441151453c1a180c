"""Tokens of the login page: a login comes from a page that this browser got from this service.

The page has a token, and a cookie that scripts cannot read has the nonce of it. Another site can get both for itself,
but cannot place the cookie in a browser.
"""

import hmac
import secrets as random

from byline.errors import Forbidden
from byline_service.accounts.secret import Secrets
from byline_service.accounts.signed_values import read_signed, signature_of, write_signed

COOKIE = "byline_login"
"""Name of the cookie over plain http. Over https it has the prefix `__Host-`."""
SECONDS = 12 * 3600
"""Seconds for which a login page can be used."""
_COOKIE_PURPOSE, _TOKEN_PURPOSE = "login", "login-token"


def new_token(now: float, secret: bytes) -> tuple[str, str]:
    """Make a token.

    Args:
        now: Seconds since 1970.
        secret: The service's secret.

    Returns:
        The token for the page, and the value of the cookie.
    """
    cookie = write_signed(_COOKIE_PURPOSE, [random.token_urlsafe(16), int(now) + SECONDS], secret)
    return _token(cookie, secret), cookie


def require_token(token: str, cookie: str, now: float, secrets: Secrets) -> None:
    """Require that a token and a cookie were made together.

    Args:
        token: The token from the page.
        cookie: The cookie from the browser.
        now: Seconds since 1970.
        secrets: The service's secrets.

    Raises:
        Forbidden: They were not, or are too old.
    """
    values = read_signed(_COOKIE_PURPOSE, cookie, secrets)
    fits = any(hmac.compare_digest(_token(cookie, each), token) for each in secrets.accepted)
    if values is None or not fits or not 0 < float(values[1]) - now <= 2 * SECONDS:
        raise Forbidden(
            "expected a login from a page of this service, less than 12 hours old: load /login again"
        )


def _token(cookie: str, secret: bytes) -> str:
    return signature_of(_TOKEN_PURPOSE, cookie, secret).hex()
