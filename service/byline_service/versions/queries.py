"""SQL of versions and aliases. Every function takes the open transaction."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, delete, insert, select, update

from byline.api.versions import VersionState
from byline_service.database import Connection
from byline_service.database.tables.versions import alias_changes, aliases, index_versions, versions_revision
from byline_service.versions.records import (
    AliasChange,
    AliasRecord,
    TargetVersion,
    VersionFacts,
    VersionRecord,
)

_STAMPS = {
    VersionState.VERIFIED: "verified_at",
    VersionState.UNSERVABLE: "unusable_at",
    VersionState.DAMAGED: "unusable_at",
    VersionState.RETIRED: "retired_at",
}


async def next_revision(tx: Connection) -> int:
    """Begin a change: take the next revision, and a lock that orders the changes."""
    statement = update(versions_revision).values(revision=versions_revision.c.revision + 1)
    return int((await tx.execute(statement.returning(versions_revision.c.revision))).scalar_one())


async def revision(tx: Connection) -> int:
    """Return the revision of the last change."""
    return int((await tx.execute(select(versions_revision.c.revision))).scalar_one())


async def find_version(tx: Connection, index: str, version: str) -> VersionRecord | None:
    """Return a version. None if it is not registered."""
    statement = select(index_versions).where(_is(index, version))
    row = (await tx.execute(statement)).one_or_none()
    return None if row is None else _version(row)


async def list_versions(tx: Connection, index: str, after: str, limit: int) -> list[VersionRecord]:
    """Return the versions of an index after a name, by name."""
    statement = select(index_versions).where(
        index_versions.c.index_name == index, index_versions.c.version > after
    )
    rows = await tx.execute(statement.order_by(index_versions.c.version).limit(limit))
    return [_version(row) for row in rows]


async def has_index(tx: Connection, name: str) -> bool:
    """Return whether an index of this name is registered."""
    statement = select(index_versions.c.version).where(index_versions.c.index_name == name).limit(1)
    return (await tx.execute(statement)).first() is not None


async def add_version(tx: Connection, facts: VersionFacts, now: datetime) -> None:
    """Register a version. A version of the same name is replaced."""
    values = _identity(facts) | {"state": VersionState.REGISTERED, "reason": None, "registered_at": now}
    values |= dict.fromkeys(("verified_at", "unusable_at", "retired_at", "heard_at"))
    renewed = await tx.execute(update(index_versions).where(_is(facts.index, facts.version)).values(values))
    if not renewed.rowcount:
        key = {"index_name": facts.index, "version": facts.version}
        await tx.execute(insert(index_versions).values(key | values))


async def identify(tx: Connection, facts: VersionFacts) -> None:
    """Store the facts of a manifest that could not be read before."""
    await tx.execute(update(index_versions).where(_is(facts.index, facts.version)).values(_identity(facts)))


async def set_state(
    tx: Connection, facts: VersionFacts, state: VersionState, now: datetime, reason: str | None = None
) -> None:
    """Set the state of a version and end its verification."""
    values: dict[str, Any] = {"state": state, "reason": reason, "heard_at": None}
    if state in _STAMPS:
        values[_STAMPS[state]] = now
    await tx.execute(update(index_versions).where(_is(facts.index, facts.version)).values(values))


async def note_check(
    tx: Connection, facts: VersionFacts, heard_at: datetime | None, done: int = 0, total: int = 0
) -> None:
    """Store the progress of a verification. None ends it."""
    values = {"heard_at": heard_at, "checked_bytes": done, "total_bytes": total}
    await tx.execute(update(index_versions).where(_is(facts.index, facts.version)).values(values))


async def find_alias(tx: Connection, alias: str) -> AliasRecord | None:
    """Return an alias. None if there is none."""
    row = (await tx.execute(select(aliases).where(aliases.c.alias == alias))).one_or_none()
    return None if row is None else _alias(row)


async def list_aliases(tx: Connection, after: str, limit: int) -> list[AliasRecord]:
    """Return the aliases after a name, by name."""
    statement = select(aliases).where(aliases.c.alias > after).order_by(aliases.c.alias).limit(limit)
    return [_alias(row) for row in await tx.execute(statement)]


async def aliases_of(tx: Connection, index: str, version: str) -> list[str]:
    """Return the aliases that point to a version."""
    statement = select(aliases.c.alias).where(aliases.c.index_name == index, aliases.c.version == version)
    return list((await tx.execute(statement.order_by(aliases.c.alias))).scalars())


async def aliases_by_version(tx: Connection, index: str) -> dict[str, list[str]]:
    """Return the aliases that point to each version of an index."""
    statement = select(aliases.c.alias, aliases.c.version).where(aliases.c.index_name == index)
    found: dict[str, list[str]] = {}
    for row in await tx.execute(statement.order_by(aliases.c.alias)):
        found.setdefault(row.version, []).append(row.alias)
    return found


async def target_versions(tx: Connection, indexes: Collection[str]) -> list[TargetVersion]:
    """Return the versions that the aliases of some indexes point to."""
    same = and_(
        index_versions.c.index_name == aliases.c.index_name, index_versions.c.version == aliases.c.version
    )
    statement = select(aliases, index_versions.c.verified_at).join(index_versions, same)
    rows = await tx.execute(statement.where(aliases.c.index_name.in_(indexes)).order_by(aliases.c.alias))
    return [TargetVersion(alias=_alias(row), verified_at=row.verified_at) for row in rows]


async def put_alias(tx: Connection, record: AliasRecord, action: str, person: str) -> None:
    """Point an alias to a version, and add that to its history."""
    await tx.execute(delete(aliases).where(aliases.c.alias == record.alias))
    await tx.execute(
        insert(aliases).values(
            alias=record.alias,
            index_name=record.index,
            version=record.version,
            previous=record.previous,
            revision=record.revision,
            changed_at=record.changed_at,
        )
    )
    await note_change(tx, record, action, person)


async def delete_alias(tx: Connection, record: AliasRecord, person: str) -> None:
    """Delete an alias, and add that to its history. The record has the revision and the time of the change."""
    await tx.execute(delete(aliases).where(aliases.c.alias == record.alias))
    await note_change(tx, record, "delete", person)


async def note_change(tx: Connection, record: AliasRecord, action: str, person: str) -> None:
    """Add a line to the history of an alias."""
    await tx.execute(
        insert(alias_changes).values(
            alias=record.alias,
            index_name=record.index,
            version=record.version,
            previous=record.previous,
            action=action,
            revision=record.revision,
            at=record.changed_at,
            person=person,
        )
    )


async def list_changes(tx: Connection, alias: str, before: int | None, limit: int) -> Sequence[AliasChange]:
    """Return the history of an alias, the latest change first."""
    statement = select(alias_changes).where(alias_changes.c.alias == alias)
    if before is not None:
        statement = statement.where(alias_changes.c.id < before)
    rows = await tx.execute(statement.order_by(alias_changes.c.id.desc()).limit(limit))
    return [
        AliasChange(
            id=row.id,
            alias=row.alias,
            index=row.index_name,
            version=row.version,
            previous=row.previous,
            action=row.action,
            revision=row.revision,
            at=row.at,
            person=row.person,
        )
        for row in rows
    ]


def _is(index: str, version: str) -> Any:
    return and_(index_versions.c.index_name == index, index_versions.c.version == version)


def _identity(facts: VersionFacts) -> dict[str, Any]:
    return {
        "manifest_digest": facts.manifest_digest,
        "recipe": facts.recipe,
        "recipe_fingerprint": facts.recipe_fingerprint,
    }


def _version(row: Row[Any]) -> VersionRecord:
    columns = dict(row._mapping)
    index, state = columns.pop("index_name"), VersionState(columns.pop("state"))
    return VersionRecord(index=index, state=state, **columns)


def _alias(row: Row[Any]) -> AliasRecord:
    return AliasRecord(
        alias=row.alias,
        index=row.index_name,
        version=row.version,
        previous=row.previous,
        revision=row.revision,
        changed_at=row.changed_at,
    )
