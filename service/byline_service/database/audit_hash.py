"""Hash of a line of the audit log, which is chained to the line before. Revisions use it: it must not change."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

GENESIS = "0" * 64
"""Hash before the first line."""
_TEXTS = ("key_id", "person", "action", "subject")


def audit_hash(line: Mapping[str, Any], previous: str) -> str:
    """Return the SHA-256 of a line and of the hash before it, 64 hexadecimal characters.

    Args:
        line: Values of the columns.
        previous: Hash of the line before.
    """
    at: datetime = line["at"]
    moment = (at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)).isoformat(
        timespec="microseconds"
    )
    hashed = {name: line[name] for name in _TEXTS}
    hashed |= {"id": line["id"], "at": moment, "details": line["details"], "previous": previous}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
