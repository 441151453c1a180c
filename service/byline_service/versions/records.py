"""Names and database records of versions and aliases. A name is never a path."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from byline.api.versions import NAME_PATTERN, VersionState
from byline.errors import InvalidInput

NAME = re.compile(NAME_PATTERN)


def check_name(kind: str, name: str) -> None:
    """Check a name.

    Args:
        kind: The kind of name, for the message.
        name: The name.

    Raises:
        InvalidInput: The name does not match the pattern. The message does not repeat it.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput(f"expected {kind} like {NAME.pattern}, got another of {len(name)} characters")


UNUSABLE = (VersionState.UNSERVABLE, VersionState.DAMAGED)
"""States of a version that a process could not serve."""
SILENT = timedelta(seconds=30)
"""Time without news after which a verification has ended: its process died."""


@dataclass(frozen=True, kw_only=True)
class VersionFacts:
    """Facts of a manifest that identify its version. None for facts that cannot be read."""

    index: str
    """Name of the index."""
    version: str
    """Name of its directory."""
    manifest_digest: str | None = None
    """Digest of the manifest, which covers all files of the directory."""
    recipe: str | None = None
    """Name of the recipe."""
    recipe_fingerprint: str | None = None
    """Fingerprint of everything that determines a stored vector."""


@dataclass(frozen=True, kw_only=True)
class VersionRecord(VersionFacts):
    """A stored version."""

    state: VersionState
    """State of the version."""
    reason: str | None
    """Reason why the version is unservable or damaged."""
    registered_at: datetime
    verified_at: datetime | None
    unusable_at: datetime | None
    retired_at: datetime | None
    checked_bytes: int | None
    """Bytes that the running verification has read."""
    total_bytes: int | None
    """Bytes that the running verification has to read."""
    heard_at: datetime | None
    """Last news of the running verification. None without one."""

    def checking(self, now: datetime) -> bool:
        """Return whether a verification is running."""
        return self.heard_at is not None and abs(now - self.heard_at) < SILENT  # the clock may be set back


@dataclass(frozen=True, kw_only=True)
class AliasRecord:
    """A stored alias, and the version that it points to."""

    alias: str
    """Name of the alias."""
    index: str
    """Index of the version."""
    version: str
    """Version that is served."""
    previous: str | None
    """Previous version, to which a rollback returns."""
    revision: int
    """Revision of the last change. Revisions ascend over all aliases."""
    changed_at: datetime
    """Time of the last change."""


@dataclass(frozen=True, kw_only=True)
class TargetVersion:
    """The version that a replica should serve under an alias."""

    alias: AliasRecord
    """The alias that decides."""
    verified_at: datetime | None
    """Last successful verification of the version: a new time is a reason to try again."""


@dataclass(frozen=True, kw_only=True)
class AliasChange:
    """A line of an alias' history."""

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
    """Person who made the change."""
