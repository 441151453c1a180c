"""Write JSON whose bytes are hashed, in one form."""

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> bytes:
    """Write a value as JSON that is the same bytes for the same value on every machine.

    Args:
        value: Mappings, sequences, strings, finite numbers, booleans and None.

    Returns:
        ASCII text with sorted keys and an end of line.

    Raises:
        ValueError: A number is not finite.
    """
    return (
        json.dumps(
            value,
            sort_keys=True,
            ensure_ascii=True,
            allow_nan=False,
            indent=1,
            separators=(",", ": "),
        )
        + "\n"
    ).encode("ascii")


def canonical_digest(value: Any) -> str:
    """Compute the SHA-256 of `canonical_json(value)`, as 64 hexadecimal characters."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
