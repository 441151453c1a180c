"""Values that a browser keeps for the service: canonical JSON with an HMAC under the service's secret, in base64."""

import base64
import binascii
import hmac
import json
from typing import Any

from byline_service.accounts.secret import Secrets


def write_signed(purpose: str, values: list[Any], secret: bytes) -> str:
    """Return values with their signature.

    Args:
        purpose: Use of the values. A signature is valid for this use alone.
        values: Strings and numbers.
        secret: The service's secret.
    """
    payload = _encoded(json.dumps(values).encode())
    return f"{payload}.{_encoded(signature_of(purpose, payload, secret))}"


def read_signed(purpose: str, text: str, secrets: Secrets) -> list[Any] | None:
    """Return the values of a signed text. None if no accepted secret signed them for this purpose.

    Args:
        purpose: Use of the values.
        text: The text from the browser.
        secrets: The accepted secrets.
    """
    payload, _, given = text.partition(".")
    try:
        signature = _decoded(given)
        fits = [
            hmac.compare_digest(signature_of(purpose, payload, secret), signature)
            for secret in secrets.accepted
        ]
        if not any(fits):
            return None
        values: list[Any] = json.loads(_decoded(payload))
    except (binascii.Error, UnicodeError, ValueError):
        return None
    return values


def signature_of(purpose: str, payload: str, secret: bytes) -> bytes:
    """Return the HMAC-SHA256 of a text for one purpose, 32 bytes."""
    return hmac.digest(secret, f"{purpose}:{payload}".encode(), "sha256")


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
