"""JSON of versions and aliases."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from byline_service.versions.records import PATTERN, AliasChange, AliasRecord, State, VersionRecord

Name = Annotated[str, Field(pattern=PATTERN)]


class _Document(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, strict=True)


class CheckInfo(_Document):
    """How far a verification is."""

    bytes: int
    """Read and compared."""
    total_bytes: int
    """To read; 0 until that is known."""


class VersionInfo(_Document):
    """One version of an index."""

    index: str
    """The index."""
    version: str
    """Its name: that of its directory, the beginning of its fingerprint."""
    state: State
    """`registered`, `verified`, `quarantined` or `retired`. Only a verified version can be switched to."""
    reason: str | None
    """Why it is in quarantine."""
    verifying: CheckInfo | None
    """How far the verification under way is; null where none is."""
    aliases: list[str]
    """Names that stand for it."""
    manifest: str | None
    """Digest of its manifest, which names every file's; null where that could not be read."""
    recipe: str | None
    """The recipe's name."""
    recipe_fingerprint: str | None
    """Digest of everything that determines a stored vector."""
    registered_at: datetime
    """When it was made known."""
    verified_at: datetime | None
    """When it was last found intact."""
    quarantined_at: datetime | None
    """When it was last found unusable."""
    retired_at: datetime | None
    """When it was last retired."""

    @classmethod
    def of(cls, record: VersionRecord, aliases: Sequence[str]) -> Self:
        """Write one version down."""
        checking = record.checking(datetime.now(UTC))
        return cls(
            index=record.index,
            version=record.version,
            state=record.state,
            reason=record.reason,
            verifying=CheckInfo(bytes=record.checked_bytes or 0, total_bytes=record.total_bytes or 0)
            if checking
            else None,
            aliases=list(aliases),
            manifest=record.manifest_digest,
            recipe=record.recipe,
            recipe_fingerprint=record.recipe_fingerprint,
            registered_at=record.registered_at,
            verified_at=record.verified_at,
            quarantined_at=record.quarantined_at,
            retired_at=record.retired_at,
        )


class VersionPage(_Document):
    """Versions of an index by name."""

    versions: list[VersionInfo]
    """In the order of their names."""
    next: str | None
    """Pass it as `after` for the page that follows; null on the last one."""


class RegisterBody(_Body):
    """A version to make known."""

    version: Name
    """Name of a directory inside the index's own: never a path."""


class AliasInfo(_Document):
    """What a name stands for."""

    alias: str
    """The name, which may be asked under `/v1/indexes/{name}`."""
    index: str
    """The index."""
    version: str
    """Its version that is served under the name."""
    previous: str | None
    """The version before, which a roll-back returns to."""
    revision: int
    """Number of the change that made it so, also its `ETag`; it only grows."""
    changed_at: datetime
    """When."""
    served: str | None
    """The version that this replica answers with now: for about a second after a change, or where it cannot load the
    new one, the old one; null where it serves none under this name."""

    @classmethod
    def of(cls, record: AliasRecord, served: str | None) -> Self:
        """Write one alias down."""
        return cls(
            alias=record.alias,
            index=record.index,
            version=record.version,
            previous=record.previous,
            revision=record.revision,
            changed_at=record.changed_at,
            served=served,
        )


class AliasPage(_Document):
    """Aliases by name."""

    aliases: list[AliasInfo]
    """In the order of their names."""
    next: str | None
    """Pass it as `after` for the page that follows; null on the last one."""


class ExpectedBody(_Body):
    """What the caller believes an alias to stand for: the change is made only where that is right."""

    expected: Name | None
    """The version that it stands for now; null: there is no such alias, or with `If-Match`: whatever it is."""


class AliasBody(ExpectedBody):
    """What an alias shall stand for."""

    index: Name
    """The index; an alias that exists keeps its own."""
    version: Name
    """A verified version of it."""


class AliasChangeInfo(_Document):
    """One change of an alias."""

    action: str
    """`create`, `switch`, `rollback` or `delete`."""
    index: str
    """The index."""
    version: str
    """What it stood for afterwards; of a deletion, before."""
    previous: str | None
    """What it stood for before."""
    revision: int
    """Number of the change."""
    at: datetime
    """When."""
    person: str
    """Whose key it was."""

    @classmethod
    def of(cls, change: AliasChange) -> Self:
        """Write one change down."""
        return cls(
            action=change.action,
            index=change.index,
            version=change.version,
            previous=change.previous,
            revision=change.revision,
            at=change.at,
            person=change.person,
        )


class AliasHistory(_Document):
    """Changes of an alias, the latest first."""

    changes: list[AliasChangeInfo]
    """The latest first."""
    next: int | None
    """Pass it as `before` for the page that follows; null on the last one."""
