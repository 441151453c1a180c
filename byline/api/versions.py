"""Wire documents of versions and aliases."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from byline.api.documents import Body, Document

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
"""Pattern of the names of indexes, versions and aliases. A name is never a path."""
Name = Annotated[str, Field(pattern=NAME_PATTERN)]


class VersionState(StrEnum):
    """The state of a version."""

    REGISTERED = "registered"
    """The name is known. The files have not been read."""
    VERIFIED = "verified"
    """Every byte matched the manifest, the Task and the models loaded, and the version answered a first question."""
    UNSERVABLE = "unservable"
    """The files are intact as far as they were read, but a process cannot serve the version: its Task has changed or
    does not load. `reason` says why."""
    DAMAGED = "damaged"
    """Bytes were read and differ from the manifest. `reason` says which. The version can be verified again after a
    repair."""
    RETIRED = "retired"
    """The version is out of service. Its directory may be deleted."""


class CheckInfo(Document):
    """The progress of a verification."""

    bytes: int
    """Bytes that were read and compared."""
    total_bytes: int
    """Bytes to read. Zero until the size is known."""


class VersionInfo(Document):
    """A version of an index."""

    index: str
    """Name of the index."""
    version: str
    """Name of the version: the name of its directory and the start of its fingerprint."""
    state: VersionState
    """`registered`, `verified`, `unservable`, `damaged` or `retired`. An alias can only switch to a verified version."""
    reason: str | None
    """Reason why the version is unservable or damaged."""
    verifying: CheckInfo | None
    """Progress of the current verification. Null if none runs."""
    aliases: list[str]
    """Aliases of the version."""
    manifest: str | None
    """Digest of the manifest, which contains the digest of every file. Null if the manifest is unreadable."""
    recipe: str | None
    """Name of the recipe."""
    recipe_fingerprint: str | None
    """Digest of everything that determines a stored vector."""
    registered_at: datetime
    """Time of the registration."""
    verified_at: datetime | None
    """Time of the last successful verification."""
    unusable_at: datetime | None
    """Time when the version was last found unservable or damaged."""
    retired_at: datetime | None
    """Time of the last retirement."""


class RegisterBody(Body):
    """A version to register."""

    version: Name
    """Name of a directory inside the index's directory. It is never a path."""


class AliasInfo(Document):
    """An alias."""

    alias: str
    """Name of the alias, valid in `/v1/indexes/{name}`."""
    index: str
    """Name of the index."""
    version: str
    """Version of the index that the alias serves."""
    previous: str | None
    """Previous version, to which a roll-back returns."""
    revision: int
    """Number of the last change, which is also the `ETag`. It only increases."""
    changed_at: datetime
    """Time of the last change."""
    served: str | None
    """Version that this replica answers with now. For about a second after a change, or if the new version cannot be
    loaded, it is the old one. Null if the replica serves no version under this name."""


class ExpectedBody(Body):
    """The expected state of an alias. The change fails if the alias has another state."""

    expected: Name | None
    """Current version of the alias. Null expects that the alias does not exist. With `If-Match`, null accepts any
    version."""


class AliasBody(ExpectedBody):
    """The new state of an alias."""

    index: Name
    """Name of the index. An existing alias keeps its index."""
    version: Name
    """A verified version of the index."""


class AliasChangeInfo(Document):
    """A change of an alias."""

    action: str
    """`create`, `switch`, `rollback` or `delete`."""
    index: str
    """Name of the index."""
    version: str
    """Version after the change. For a deletion, the version before."""
    previous: str | None
    """Version before the change."""
    revision: int
    """Number of the change."""
    at: datetime
    """Time of the change."""
    person: str
    """Person whose key made the change."""
