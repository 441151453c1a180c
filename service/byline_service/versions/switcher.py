"""Changes on request, carried out in this process first: a version is opened here before an alias stands for it."""

import asyncio
from dataclasses import dataclass, field
from functools import partial

import structlog

from byline.api.versions import VersionState
from byline.errors import Conflict, InvalidInput
from byline_service.accounts.scopes import Caller
from byline_service.database import Database
from byline_service.observability.metrics import Metrics
from byline_service.versions import transactions, verification
from byline_service.versions.directory import UnusableError
from byline_service.versions.opener import Opener, StoppedError
from byline_service.versions.records import AliasRecord, VersionFacts, VersionRecord, check_name
from byline_service.versions.registry import Registry
from byline_service.versions.served_version import ServedVersion
from byline_service.versions.transactions import Expected

log = structlog.get_logger("service.versions")
THIS_PROCESS = Caller(key_id="", person="service", scopes=frozenset())
"""Who quarantines what it cannot serve."""


@dataclass(kw_only=True)
class Switcher:
    """What may be done to versions and aliases.

    One change is carried out at a time in this process (`changing`), so that at most one version more than is served
    is in memory, and what follows the database never undoes what was just done.
    """

    database: Database
    registry: Registry
    opener: Opener
    metrics: Metrics
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _checks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def register(self, caller: Caller, index: str, version: str) -> VersionRecord:
        """Make a version known by the name of its directory.

        Returns:
            The version: in quarantine at once if its manifest cannot be read.

        Raises:
            InvalidInput: That is no name, or not the version's.
            NotFound: There is no such directory in the index's own.
            Conflict: An alias stands for other files of that name.
        """
        facts = await self.opener.facts(index, version)
        record = await transactions.register(self.database, caller, facts)
        if facts.manifest_digest is None:
            await self.quarantine(facts, "its manifest is missing, damaged or of another release")
            return await self.find(facts)
        return record

    async def find(self, facts: VersionFacts) -> VersionRecord:
        """Look a version up.

        Raises:
            NotFound: It is not registered.
        """
        async with self.database.read() as tx:
            return await transactions.get_version(tx, facts)

    async def begin_verification(self, caller: Caller, index: str, version: str) -> VersionRecord:
        """Begin to verify a version: every byte, its Task and models, a first question.

        Returns:
            The version, which says how far the check is while it is under way.

        Raises:
            NotFound: It is not registered, or there is no such directory here.
            Conflict: It is being verified already, or retired.
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
            log.error("verification not finished", index=facts.index, version=facts.version, exc_info=error)
            return
        if found.state is VersionState.QUARANTINED:
            self._unusable(facts, found.reason)
        else:
            log.info("version verified", index=facts.index, version=facts.version)

    async def retire(self, caller: Caller, index: str, version: str) -> VersionRecord:
        """Take a version out of service for good; raises as `changing.retire` does."""
        return await transactions.retire(self.database, caller, _facts(index, version))

    async def switch(self, caller: Caller, alias: str, to: VersionFacts, expected: Expected) -> AliasRecord:
        """Open a version, then have an alias stand for it, then serve it.

        Returns:
            The alias; requests that begin from now on are answered by the version.

        Raises:
            InvalidInput: A name is none; or the alias is one of another index.
            NotFound: The version is not registered, or there is no such directory here.
            Conflict: The alias is not as expected (`StaleAlias`: by its ETag), the version is not verified, or it
                turned out to be unusable and is in quarantine now.
        """
        check_name("an alias", alias)
        self.opener.directory(to.index)
        if self.is_fixed(alias):
            raise InvalidInput("expected another name for the alias: an index has this one for itself")
        async with self.changing:
            async with self.database.read() as tx:
                await transactions.check_switch(tx, alias, to, expected)
            version = await self.load(to)
            record = await transactions.switch(self.database, caller, alias, to, expected)
            self.serve(alias, version)
        return record

    def is_fixed(self, name: str) -> bool:
        """Whether this process serves an index under a name that no alias may take: the database knows nothing of it."""
        served = self.registry.served.get(name)
        return served is not None and served.folder is None and name not in self.opener.directories

    async def roll_back(self, caller: Caller, alias: str, expected: Expected) -> AliasRecord:
        """Return an alias to what it stood for before; raises as `switch` does."""
        async with self.changing:
            async with self.database.read() as tx:
                found, to = await transactions.check_roll_back(tx, alias, expected)
            pinned = Expected(version=found.version, revision=found.revision)
            version = await self.load(to)
            record = await transactions.roll_back(self.database, caller, alias, pinned)
            self.serve(alias, version)
        return record

    async def delete(self, caller: Caller, alias: str, expected: Expected) -> None:
        """Forget an alias; raises as `changing.delete` does."""
        async with self.changing:
            await transactions.delete(self.database, caller, alias, expected)
            if alias in self.registry.served:
                self.registry.remove(alias)

    async def load(self, facts: VersionFacts) -> ServedVersion:
        """Open a registered version, or take the one that another name serves.

        Raises:
            NotFound: It is not registered, or there is no such directory here.
            Conflict: It cannot be served, and is in quarantine now.
        """
        shared = self.registry.loaded_as(facts.index, facts.version)
        if shared is not None:
            return shared
        known = await self.find(facts)
        try:
            return await self.opener.open(known)
        except UnusableError as error:
            await self.quarantine(known, str(error))
            raise Conflict(f"this version cannot be served and is in quarantine now: {error}") from error

    def serve(self, alias: str, version: ServedVersion) -> None:
        """Serve a version under a name, for requests that begin from now on."""
        if self.registry.served.get(alias) is version:
            return
        self.registry.swap(alias, version)
        self.metrics.switched(alias)
        log.info("serving", alias=alias, index=version.attributor.name, version=version.version)

    async def quarantine(self, facts: VersionFacts, reason: str) -> None:
        """Note that a version is unusable; that it is still is no news."""
        if await transactions.quarantine(self.database, THIS_PROCESS, facts, reason):
            self._unusable(facts, reason)

    def _unusable(self, facts: VersionFacts, reason: str | None) -> None:
        self.metrics.quarantined(facts.index)
        log.error("version in quarantine", index=facts.index, version=facts.version, reason=reason)

    async def close(self) -> None:
        """End checks under way, without a result."""
        await asyncio.to_thread(self.opener.close)
        await asyncio.gather(*self._checks, return_exceptions=True)


def _facts(index: str, version: str) -> VersionFacts:
    return VersionFacts(index=index, version=version)
