"""API keys: `byl_`, a public id, a secret, and checksum characters that catch a typing error.

    byl_ 4Kq2mB8xZr1T 9f…(32 characters, 190 bits)…Qe 0aB3xY
         id           secret                          CRC-32 of all before, in base 62

Only an HMAC-SHA256 of the whole key under the service's secret is stored. The key itself is random, so that a
slow hash would add nothing.
"""

import hmac
import re
import secrets
import zlib
from dataclasses import dataclass, field

from byline.errors import Unauthorized

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX = "byl_"
ID_LENGTH, SECRET_LENGTH, CHECK_LENGTH = 12, 32, 6
PATTERN = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{ID_LENGTH + SECRET_LENGTH + CHECK_LENGTH}}}", re.ASCII)
NO_KEY = "expected a valid key as `Authorization: Bearer byl_…`"


@dataclass(frozen=True)
class ApiKey:
    """One key in the clear: shown once, never stored, never logged."""

    id: str
    """Names the key in lists, in the log and in the database."""
    text: str = field(repr=False)
    """The whole key."""


def new_key() -> ApiKey:
    """Make a random key."""
    key_id, secret = _random(ID_LENGTH), _random(SECRET_LENGTH)
    body = f"{PREFIX}{key_id}{secret}"
    return ApiKey(key_id, body + checksum(body))


def parse_key(text: str) -> ApiKey:
    """Read a key.

    Args:
        text: What a client sent.

    Returns:
        The key; whether it is a known one, only the database says.

    Raises:
        Unauthorized: It is no key, or a character of it is wrong.
    """
    body, check = text[:-CHECK_LENGTH], text[-CHECK_LENGTH:]
    if not PATTERN.fullmatch(text) or checksum(body) != check:
        raise Unauthorized(NO_KEY)
    return ApiKey(text[len(PREFIX) : len(PREFIX) + ID_LENGTH], text)


def checksum(body: str) -> str:
    """CRC-32 of a key's other characters, as six characters in base 62."""
    number, digits = zlib.crc32(body.encode()), []
    for _ in range(CHECK_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def digest_key(key: ApiKey, secret: bytes) -> bytes:
    """What is stored of a key: HMAC-SHA256 under the service's secret, 32 bytes."""
    return hmac.digest(secret, key.text.encode(), "sha256")


def same_digest(stored: bytes, given: bytes) -> bool:
    """Compare two digests in a time that does not depend on where they differ."""
    return hmac.compare_digest(stored, given)


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
