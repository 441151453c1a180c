"""What the database knows of versions and aliases."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from byline.api.versions import NAME_PATTERN, VersionState
from byline.errors import InvalidInput

AFTER = r"^[a-z0-9._-]{0,64}$"
"""A name, or nothing: the first page of a list."""
NAME = re.compile(NAME_PATTERN)


def check_name(kind: str, name: str) -> None:
    """Refuse what is no name.

    Args:
        kind: What it should name, for people.
        name: What came.

    Raises:
        InvalidInput: It does not match; the message does not repeat it.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput(f"expected {kind} like {NAME.pattern}, got another of {len(name)} characters")


SILENT = timedelta(seconds=30)
"""A check that has not been heard of for so long has ended: its process died."""


@dataclass(frozen=True, kw_only=True)
class VersionFacts:
    """What identifies a version, as its manifest has it; None where that cannot be read."""

    index: str
    """Name of the index."""
    version: str
    """Name of its directory."""
    manifest_digest: str | None = None
    """Of everything in the directory."""
    recipe: str | None = None
    """The recipe's name."""
    recipe_fingerprint: str | None = None
    """Of everything that determines a stored vector."""


@dataclass(frozen=True, kw_only=True)
class VersionRecord(VersionFacts):
    """One row of the versions."""

    state: VersionState
    """Where it is in its life."""
    reason: str | None
    """Why it is in quarantine."""
    registered_at: datetime
    verified_at: datetime | None
    quarantined_at: datetime | None
    retired_at: datetime | None
    checked_bytes: int | None
    """Bytes that the check under way has read."""
    total_bytes: int | None
    """Bytes that it has to read."""
    heard_at: datetime | None
    """When it last said so; None where none is under way."""

    def checking(self, now: datetime) -> bool:
        """Whether a check is under way."""
        return self.heard_at is not None and abs(now - self.heard_at) < SILENT  # the clock may be put back


@dataclass(frozen=True, kw_only=True)
class AliasRecord:
    """One row of the aliases: what a name stands for."""

    alias: str
    """The name."""
    index: str
    """The index."""
    version: str
    """Its version that is served."""
    previous: str | None
    """The version before, which a roll-back returns to."""
    revision: int
    """Number of the change that made it so: it only grows, over all aliases."""
    changed_at: datetime
    """When."""


@dataclass(frozen=True, kw_only=True)
class WantedVersion:
    """What a replica should serve under a name, and what is known of that version."""

    alias: AliasRecord
    """The row that decides."""
    verified_at: datetime | None
    """When the version was last found intact: a new date is a reason to try again."""


@dataclass(frozen=True, kw_only=True)
class AliasChange:
    """One line of an alias' history."""

    id: int
    alias: str
    index: str
    version: str
    previous: str | None
    action: str
    """`create`, `switch`, `rollback` or `delete`."""
    revision: int
    at: datetime
    person: str
    """Whose key it was."""
