"""Changes of versions and aliases. A version is opened in this process before an alias points to it."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import structlog

from byline.api.versions import VersionState
from byline.errors import BylineError, Conflict, InvalidInput
from byline_service.accounts.scopes import Caller
from byline_service.database import Database
from byline_service.observability.metrics import Metrics
from byline_service.versions import transactions, verification
from byline_service.versions.directory import UnusableError
from byline_service.versions.opener import Opener, StoppedError
from byline_service.versions.records import UNUSABLE, AliasRecord, VersionFacts, VersionRecord, check_name
from byline_service.versions.registry import Registry
from byline_service.versions.served_version import ServedVersion
from byline_service.versions.transactions import Expected

log = structlog.get_logger("service.versions")
THIS_PROCESS = Caller(key_id="", person="service", scopes=frozenset())
"""The caller in the audit log when this process finds a version unusable."""


@dataclass(kw_only=True)
class Switcher:
    """Registers, verifies, switches and retires versions.

    This process makes one change at a time (`changing`). So at most one version more than the served ones is in memory,
    and the follower never undoes a change that was just made.
    """

    database: Database
    registry: Registry
    opener: Opener
    metrics: Metrics
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _checks: set["asyncio.Task[None]"] = field(default_factory=set)
    _damaged: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """Times at which this process found a version damaged that it served."""

    def __post_init__(self) -> None:
        self.registry.on_damaged = self._found_cut_off

    async def register(self, caller: Caller, index: str, version: str) -> VersionRecord:
        """Register a version by the name of its directory.

        Returns:
            The version. It is damaged at once if its manifest cannot be read.

        Raises:
            InvalidInput: The name is not valid, or not the version's.
            NotFound: The index's directory has no such directory.
            Conflict: An alias points to other files of that name.
        """
        facts = await self.opener.facts(index, version)
        record = await transactions.register(self.database, caller, facts)
        if facts.manifest_digest is None:
            reason = "its manifest is missing, damaged or of another release"
            await self.refuse(facts, UnusableError(reason, damaged=True))
            return await self.find(facts)
        return record

    async def find(self, facts: VersionFacts) -> VersionRecord:
        """Return a registered version.

        Raises:
            NotFound: The version is not registered.
        """
        async with self.database.read() as tx:
            return await transactions.get_version(tx, facts)

    async def begin_verification(self, caller: Caller, index: str, version: str) -> VersionRecord:
        """Start the verification of a version: every byte, its Task and models, and a first query.

        Returns:
            The version, with the progress of the verification.

        Raises:
            NotFound: The version is not registered, or its directory is not here.
            Conflict: The version is being verified already, or is retired.
        """
        facts = await verification.begin(self.database, await self.opener.facts(index, version))
        check = asyncio.create_task(self._check(caller, facts))
        self._checks.add(check)
        check.add_done_callback(self._checks.discard)
        return await self.find(facts)

    async def _check(self, caller: Caller, facts: VersionFacts) -> None:
        try:
            found = await verification.finish(
                self.database, caller, facts, partial(self.opener.verify, facts)
            )
        except StoppedError:
            return
        except Exception as error:
            log.error("verification failed", index=facts.index, version=facts.version, exc_info=error)
            return
        if found.state in UNUSABLE:
            self._unusable(found)
        else:
            log.info("version verified", index=facts.index, version=facts.version)

    async def retire(self, caller: Caller, index: str, version: str) -> VersionRecord:
        """Take a version out of service permanently. Raises as `transactions.retire` does."""
        return await transactions.retire(self.database, caller, _facts(index, version))

    async def switch(self, caller: Caller, alias: str, to: VersionFacts, expected: Expected) -> AliasRecord:
        """Open a version, point an alias to it, then serve it.

        Returns:
            The alias. Requests that begin from now on are answered by the version.

        Raises:
            InvalidInput: A name is not valid, or the alias belongs to another index.
            NotFound: The version is not registered, or its directory is not here.
            Conflict: The alias is not as expected (`StaleAlias` by its ETag), the version is not verified, or it
                turned out to be unservable or damaged.
        """
        check_name("an alias", alias)
        self.opener.directory(to.index)
        if self.is_fixed(alias):
            raise InvalidInput("expected another name for the alias: an index has this name")
        async with self.changing:
            async with self.database.read() as tx:
                await transactions.check_switch(tx, alias, to, expected)
            version = await self.load(to)
            record = await transactions.switch(self.database, caller, alias, to, expected)
            self.serve(alias, version)
        return record

    def is_fixed(self, name: str) -> bool:
        """Return whether a name belongs to an index that the database does not manage. No alias may take it."""
        served = self.registry.served.get(name)
        return served is not None and served.folder is None and name not in self.opener.directories

    async def roll_back(self, caller: Caller, alias: str, expected: Expected) -> AliasRecord:
        """Return an alias to its previous version. Raises as `switch` does."""
        async with self.changing:
            async with self.database.read() as tx:
                found, to = await transactions.check_roll_back(tx, alias, expected)
            pinned = Expected(version=found.version, revision=found.revision)
            version = await self.load(to)
            record = await transactions.roll_back(self.database, caller, alias, pinned)
            self.serve(alias, version)
        return record

    async def delete(self, caller: Caller, alias: str, expected: Expected) -> None:
        """Delete an alias. Raises as `transactions.delete` does."""
        async with self.changing:
            await transactions.delete(self.database, caller, alias, expected)
            if alias in self.registry.served:
                self.registry.remove(alias)

    async def load(self, facts: VersionFacts) -> ServedVersion:
        """Open a registered version, or return it if another name serves it.

        Raises:
            NotFound: The version is not registered, or its directory is not here.
            Conflict: The version is unservable or damaged.
        """
        shared = self.registry.loaded_as(facts.index, facts.version)
        if shared is not None:
            return shared
        known = await self.find(facts)
        found = self._damaged.get((facts.index, facts.version))
        if found is not None and (known.verified_at is None or known.verified_at <= found):
            raise Conflict("this version was found damaged while it was served: restore and verify it first")
        try:
            return await self.opener.open(known)
        except UnusableError as error:
            await self.refuse(known, error)
            raise Conflict(f"this version cannot be served and is {error.state} now: {error}") from error

    def serve(self, alias: str, version: ServedVersion) -> None:
        """Serve a version under a name, for requests that begin from now on."""
        if self.registry.served.get(alias) is version:
            return
        self.registry.swap(alias, version)
        self.metrics.count_switch(alias)
        log.info("version served", alias=alias, index=version.attributor.name, version=version.version)

    async def refuse(self, facts: VersionFacts, error: UnusableError) -> None:
        """Record that this process cannot serve a version. A repetition changes nothing."""
        if await transactions.mark_unusable(self.database, THIS_PROCESS, facts, error.state, str(error)):
            self._unusable(await self.find(facts))

    def _unusable(self, found: VersionRecord) -> None:
        self.metrics.count_unusable(found.index, found.state)
        log.error(f"version {found.state}", index=found.index, version=found.version, reason=found.reason)

    def _found_cut_off(self, version: ServedVersion, reason: str) -> None:
        """Take a version out of service that a request found cut off. Its requests are refused from now on."""
        if (version.attributor.name, version.version) not in self._damaged:
            taking = asyncio.get_running_loop().create_task(self.take_out(version, reason))
            self._checks.add(taking)
            taking.add_done_callback(self._checks.discard)

    async def take_out(self, version: ServedVersion, reason: str) -> None:
        """Stop serving a version whose bytes have changed, record that it is damaged, and tell so."""
        facts = version.facts
        self._damaged[facts.index, facts.version] = datetime.now(UTC)
        for name, served in self.registry.served.items():
            if served is version:
                self.registry.take_out(name)
        try:
            await self.refuse(facts, UnusableError(reason, damaged=True))
        except BylineError as error:
            self.metrics.count_unusable(facts.index, VersionState.DAMAGED)
            log.error(
                "version damaged", index=facts.index, version=facts.version, reason=reason, detail=str(error)
            )

    async def close(self) -> None:
        """Stop the verifications that run, without a result."""
        await asyncio.to_thread(self.opener.close)
        await asyncio.gather(*self._checks, return_exceptions=True)


def _facts(index: str, version: str) -> VersionFacts:
    return VersionFacts(index=index, version=version)
