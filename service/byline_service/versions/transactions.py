"""Transactions that change versions and aliases, each with its line in the audit log.

A change first takes the next revision number, which locks out other changes until the commit. So the rows that it reads
do not change: no version is retired while an alias is being pointed at it.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from byline.api.versions import VersionState
from byline.errors import Conflict, InvalidInput, NotFound, StaleAlias
from byline_service.accounts import audit
from byline_service.accounts.scopes import Caller
from byline_service.database import Connection, Database
from byline_service.versions import queries
from byline_service.versions.records import AliasRecord, VersionFacts, VersionRecord


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The expected state of an alias: a change is made only if the alias is in it."""

    version: str | None = None
    """Version of the alias. None with no `revision` expects that there is no such alias."""
    revision: int | None = None
    """Revision from the alias' ETag. It also detects a change there and back."""

    def require(self, found: AliasRecord | None) -> None:
        """Refuse a change if the alias is in another state.

        Raises:
            StaleAlias: The alias has another revision.
            Conflict: The alias points to another version.
        """
        if self.revision is not None and (found is None or found.revision != self.revision):
            raise StaleAlias("expected the revision of the ETag, the alias was changed since: read it again")
        if self.version is None and self.revision is not None:
            return
        if self.version != (None if found is None else found.version):
            what = "no such alias" if found is None else f"version {found.version}"
            raise Conflict(f"expected the alias to be as `expected` says, found {what}: read it again")


async def register(database: Database, caller: Caller, facts: VersionFacts) -> VersionRecord:
    """Register a version. A repeated registration changes nothing, unless the version was retired.

    Raises:
        Conflict: An alias points to a version of that name, and its manifest has changed.
    """
    async with database.begin() as tx:
        await queries.next_revision(tx)
        known = await queries.find_version(tx, facts.index, facts.version)
        if (
            known
            and known.manifest_digest == facts.manifest_digest
            and known.state is not VersionState.RETIRED
        ):
            return known
        if known and (names := await queries.aliases_of(tx, facts.index, facts.version)):
            raise Conflict(
                f"expected a new version, got other files under the name of one that {', '.join(names)} stands for: "
                "restore its files, or publish the new ones under another name"
            )
        await queries.add_version(tx, facts, datetime.now(UTC))
        await _record(tx, caller, "versions.register", facts, {"manifest": facts.manifest_digest})
        return await get_version(tx, facts)


async def begin_check(database: Database, facts: VersionFacts) -> VersionRecord:
    """Record that a verification starts.

    Raises:
        NotFound: The version is not registered.
        Conflict: The version is being verified already, or is retired.
    """
    async with database.begin() as tx:
        await queries.next_revision(tx)
        now = datetime.now(UTC)
        known = await get_version(tx, facts)
        if known.checking(now):
            raise Conflict("this version is being verified already: wait for the result")
        if known.state is VersionState.RETIRED:
            raise Conflict("this version is retired: register it again first")
        await queries.note_check(tx, facts, now)
        return await get_version(tx, facts)


async def note_progress(database: Database, facts: VersionFacts, done: int, total: int) -> None:
    """Record the progress of a verification. The revision stays, since no replica must follow this."""
    async with database.begin() as tx:
        await queries.note_check(tx, facts, datetime.now(UTC), done, total)


async def give_up_check(database: Database, facts: VersionFacts) -> None:
    """Record that a verification ended without a result."""
    async with database.begin() as tx:
        await queries.note_check(tx, facts, None)


async def mark_verified(database: Database, caller: Caller, facts: VersionFacts) -> VersionRecord:
    """Record that a version is intact and answers.

    Raises:
        Conflict: The version was retired in the meantime.
    """
    async with database.begin() as tx:
        await queries.next_revision(tx)
        known = await get_version(tx, facts)
        if known.state is VersionState.RETIRED:
            raise Conflict("this version was retired while it was verified")
        await queries.identify(tx, facts)
        await queries.set_state(tx, facts, VersionState.VERIFIED, datetime.now(UTC))
        await _record(tx, caller, "versions.verify", facts, {"was": known.state})
        return await get_version(tx, facts)


async def mark_unusable(
    database: Database, caller: Caller, facts: VersionFacts, state: VersionState, reason: str
) -> bool:
    """Record that a version is unservable or damaged, and the reason.

    A damaged version stays damaged until a verification finds it intact: to fail at loading says nothing of its bytes.

    Args:
        database: The database of the versions.
        caller: The person who asked for it.
        facts: The version.
        state: `UNSERVABLE` or `DAMAGED`.
        reason: The reason, in words.

    Returns:
        Whether the state or the reason changed.
    """
    async with database.begin() as tx:
        await queries.next_revision(tx)
        known = await get_version(tx, facts)
        if known.state is VersionState.RETIRED:
            return False
        if (
            state is VersionState.UNSERVABLE
            and known.state is VersionState.DAMAGED
            and not known.checking(datetime.now(UTC))
        ):
            return False
        if (known.state, known.reason) == (state, reason):
            await queries.note_check(tx, facts, None)
            return False
        await queries.set_state(tx, facts, state, datetime.now(UTC), reason)
        await _record(tx, caller, f"versions.{state}", facts, {"reason": reason})
        return True


async def retire(database: Database, caller: Caller, facts: VersionFacts) -> VersionRecord:
    """Take a version out of service permanently: its directory may be deleted afterwards.

    Raises:
        NotFound: The version is not registered.
        Conflict: An alias points to the version.
    """
    async with database.begin() as tx:
        await queries.next_revision(tx)
        known = await get_version(tx, facts)
        if names := await queries.aliases_of(tx, facts.index, facts.version):
            raise Conflict(
                f"the aliases {', '.join(names)} point to this version: switch them to another one first"
            )
        if known.state is not VersionState.RETIRED:
            await queries.set_state(tx, facts, VersionState.RETIRED, datetime.now(UTC))
            await _record(tx, caller, "versions.retire", facts, {"was": known.state})
        return await get_version(tx, facts)


async def check_switch(
    tx: Connection, alias: str, to: VersionFacts, expected: Expected
) -> AliasRecord | None:
    """Check that a switch can be made.

    Returns:
        The current alias. None if there is none yet.

    Raises:
        NotFound: The version is not registered.
        Conflict: The alias is not as expected, or the version is not verified.
        StaleAlias: The alias was changed since its ETag was read.
        InvalidInput: The alias belongs to another index.
    """
    found = await queries.find_alias(tx, alias)
    expected.require(found)
    if found is not None and found.index != to.index:
        raise InvalidInput(f"expected a version of the index {found.index}, to which the alias belongs")
    if alias != to.index and await queries.has_index(tx, alias):
        raise InvalidInput("expected another name for the alias: an index has this name")
    known = await get_version(tx, to)
    if known.state is not VersionState.VERIFIED:
        raise Conflict(f"expected a verified version, got one that is {known.state}: verify it first")
    return found


async def switch(
    database: Database, caller: Caller, alias: str, to: VersionFacts, expected: Expected
) -> AliasRecord:
    """Point an alias to a version. Raises as `check_switch` does."""
    async with database.begin() as tx:
        revision = await queries.next_revision(tx)
        found = await check_switch(tx, alias, to, expected)
        if found is not None and found.version == to.version:
            return found
        record = AliasRecord(
            alias=alias,
            index=to.index,
            version=to.version,
            previous=None if found is None else found.version,
            revision=revision,
            changed_at=datetime.now(UTC),
        )
        await _put(tx, caller, record, "create" if found is None else "switch")
        return record


async def roll_back(database: Database, caller: Caller, alias: str, expected: Expected) -> AliasRecord:
    """Return an alias to its previous version. Raises as `check_roll_back` does."""
    async with database.begin() as tx:
        revision = await queries.next_revision(tx)
        found, to = await check_roll_back(tx, alias, expected)
        record = replace(
            found,
            version=to.version,
            previous=found.version,
            revision=revision,
            changed_at=datetime.now(UTC),
        )
        await _put(tx, caller, record, "rollback")
        return record


async def check_roll_back(
    tx: Connection, alias: str, expected: Expected | None
) -> tuple[AliasRecord, VersionFacts]:
    """Check that a rollback can be made.

    Returns:
        The current alias, and the version that it returns to.

    Raises:
        NotFound: There is no such alias.
        Conflict: The alias is not as expected, has no previous version, or that version is not verified.
        StaleAlias: The alias was changed since its ETag was read.
    """
    found = await get_alias(tx, alias)
    if expected is not None:
        expected.require(found)
    if found.previous is None:
        raise Conflict("this alias has no previous version to return to")
    to = VersionFacts(index=found.index, version=found.previous)
    known = await get_version(tx, to)
    if known.state is not VersionState.VERIFIED:
        raise Conflict(f"expected the previous version to be verified, it is {known.state}: verify it first")
    return found, to


async def delete(database: Database, caller: Caller, alias: str, expected: Expected) -> None:
    """Delete an alias.

    Raises:
        NotFound: There is no such alias.
        Conflict: The alias is not as expected, or is an index's own name.
        StaleAlias: The alias was changed since its ETag was read.
    """
    async with database.begin() as tx:
        revision = await queries.next_revision(tx)
        found = await get_alias(tx, alias)
        expected.require(found)
        if found.alias == found.index:
            raise Conflict(
                "expected an alias, got the index's own name: it stays as long as the index is served"
            )
        record = replace(found, revision=revision, changed_at=datetime.now(UTC))
        await queries.delete_alias(tx, record, caller.person)
        await audit.record(tx, caller, "aliases.delete", alias, {"index": found.index})


async def adopt(database: Database, caller: Caller, facts: VersionFacts) -> AliasRecord:
    """Point an index's own name to an opened version, unless it points to one already.

    Returns:
        The alias afterwards: another process may have been faster.
    """
    async with database.begin() as tx:
        revision = await queries.next_revision(tx)
        found = await queries.find_alias(tx, facts.index)
        if found is not None:
            require_own(found)
            return found
        now = datetime.now(UTC)
        known = await queries.find_version(tx, facts.index, facts.version)
        if known is None or known.manifest_digest != facts.manifest_digest:
            await queries.add_version(tx, facts, now)
            await _record(tx, caller, "versions.register", facts, {"manifest": facts.manifest_digest})
        await queries.set_state(tx, facts, VersionState.VERIFIED, now)
        record = AliasRecord(
            alias=facts.index,
            index=facts.index,
            version=facts.version,
            previous=None,
            revision=revision,
            changed_at=now,
        )
        await _put(tx, caller, record, "create")
        return record


def require_own(found: AliasRecord) -> None:
    """Refuse an index whose name is the alias of another one.

    Raises:
        InvalidInput: The name is the alias of another index.
    """
    if found.index != found.alias:
        raise InvalidInput(
            f"expected another name for an index than {found.alias}: it is an alias of {found.index}. "
            "Name the index, NAME=DIRECTORY, or delete the alias"
        )


async def get_version(tx: Connection, facts: VersionFacts) -> VersionRecord:
    """Return a registered version.

    Raises:
        NotFound: The version is not registered.
    """
    known = await queries.find_version(tx, facts.index, facts.version)
    if known is None:
        raise NotFound("expected a registered version of this index, got another name: register it first")
    return known


async def get_alias(tx: Connection, alias: str) -> AliasRecord:
    """Return an alias.

    Raises:
        NotFound: There is no alias of this name.
    """
    found = await queries.find_alias(tx, alias)
    if found is None:
        raise NotFound("expected the name of an alias, got another one: GET /v1/aliases lists the names")
    return found


async def _put(tx: Connection, caller: Caller, record: AliasRecord, action: str) -> None:
    await queries.put_alias(tx, record, action, caller.person)
    details = {"index": record.index, "version": record.version, "previous": record.previous}
    await audit.record(tx, caller, f"aliases.{action}", record.alias, details)


async def _record(
    tx: Connection, caller: Caller, action: str, facts: VersionFacts, details: dict[str, str | None]
) -> None:
    await audit.record(tx, caller, action, f"{facts.index}/{facts.version}", details)
