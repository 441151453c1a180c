"""API keys: `byl_`, a public id, a secret, and a checksum that catches typing errors.

    byl_ 4Kq2mB8xZr1T 9f…(32 characters, 190 bits)…Qe 0aB3xY
         id           secret                          CRC-32 of the characters before, in base 62

Only an HMAC-SHA256 of the whole key under the service's secret is stored. The key is random, so a slow hash would add
no security.
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
    """A key in the clear: shown once, never stored, never logged."""

    id: str
    """Public id in lists, in the log and in the database."""
    text: str = field(repr=False)
    """The whole key."""


def new_key() -> ApiKey:
    """Create a random key."""
    key_id, secret = _random(ID_LENGTH), _random(SECRET_LENGTH)
    body = f"{PREFIX}{key_id}{secret}"
    return ApiKey(key_id, body + checksum(body))


def parse_key(text: str) -> ApiKey:
    """Parse a key.

    Args:
        text: The key from the client.

    Returns:
        The key. Whether it exists is for the database to say.

    Raises:
        Unauthorized: The text is not a key, or its checksum is wrong.
    """
    body, check = text[:-CHECK_LENGTH], text[-CHECK_LENGTH:]
    if not PATTERN.fullmatch(text) or checksum(body) != check:
        raise Unauthorized(NO_KEY)
    return ApiKey(text[len(PREFIX) : len(PREFIX) + ID_LENGTH], text)


def checksum(body: str) -> str:
    """Return the CRC-32 of a key's other characters, as six characters in base 62."""
    number, digits = zlib.crc32(body.encode()), []
    for _ in range(CHECK_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def digest_key(key: ApiKey, secret: bytes) -> bytes:
    """Return the stored digest of a key: HMAC-SHA256 under the service's secret, 32 bytes."""
    return hmac.digest(secret, key.text.encode(), "sha256")


def same_digest(stored: bytes, given: bytes) -> bool:
    """Compare two digests in constant time."""
    return hmac.compare_digest(stored, given)


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
