"""Follows the database: serves the versions of the aliases, and reads new quality cards."""

import asyncio
from datetime import datetime
from pathlib import Path

import structlog

from byline.errors import BylineError, Conflict, NotFound
from byline.index.quality_card import card_path
from byline_service.versions import queries, transactions
from byline_service.versions.records import TargetVersion, VersionFacts
from byline_service.versions.served_version import ServedVersion
from byline_service.versions.switcher import THIS_PROCESS, Switcher

log = structlog.get_logger("service.versions")
ABSENT_SECONDS = 10.0
"""Seconds between two checks for a version whose directory is not here yet."""
Attempt = tuple[int, datetime | None]
"""Revision of an alias and time of the version's verification. If either changes, the version is tried again."""


class Follower:
    """Keeps the served versions of one process in step with the database.

    It polls one revision number, and reads the aliases only when the number has changed.

    Args:
        switcher: Opens and serves versions.
        seconds: Seconds between two polls.
    """

    def __init__(self, switcher: Switcher, seconds: float) -> None:
        self._switcher, self._seconds = switcher, seconds
        self._seen = -1
        self._failed: dict[str, Attempt] = {}
        self._again_at = float("inf")
        self._cards: dict[Path, tuple[int, ...]] = {}
        self._silent = False
        self.behind: tuple[str, ...] = ()
        """Names whose served version differs from the database."""

    async def run(self) -> None:
        """Follow until cancelled. While the database does not answer, the loaded versions stay in service."""
        while True:
            try:
                await self.poll()
                self._silent = False
            except BylineError as error:
                if not self._silent:
                    log.warning(
                        "database unavailable, loaded versions stay in service", error=type(error).__name__
                    )
                self._silent = True
            except Exception as error:
                log.error("following failed", error=type(error).__name__, exc_info=error)
            await asyncio.to_thread(self._read_cards, list(self._switcher.registry.served.values()))
            await asyncio.sleep(self._seconds)

    async def poll(self) -> None:
        """Serve the versions that the aliases point to now.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        now = asyncio.get_running_loop().time()
        async with self._switcher.database.read() as tx:
            revision = await queries.revision(tx)
        if revision == self._seen and now < self._again_at:
            return
        async with self._switcher.changing:
            await self._adopt_missing()
            async with self._switcher.database.read() as tx:
                seen = await queries.revision(tx)
                wanted = await queries.target_versions(tx, list(self._switcher.opener.directories))
            self._again_at = float("inf")
            self._drop({each.alias.alias for each in wanted})
            behind = [each.alias.alias for each in wanted if not await self._follow(each)]
            self.behind = tuple(behind)
            self._seen = seen

    async def _adopt_missing(self) -> None:
        """Create the aliases of indexes that the database does not know: they point to the opened versions."""
        directories, served = self._switcher.opener.directories, self._switcher.registry.served
        async with self._switcher.database.read() as tx:
            known = {each.alias.alias for each in await queries.target_versions(tx, list(directories))}
        for name in directories.keys() - known:
            if name in served:
                await transactions.adopt(self._switcher.database, THIS_PROCESS, served[name].facts)
                log.info("opened version registered", index=name, version=served[name].version)

    def _drop(self, known: set[str]) -> None:
        """Stop serving deleted aliases. An index's own name stays."""
        registry = self._switcher.registry
        for name in set(registry.served) - known - set(self._switcher.opener.directories):
            if registry.served[name].folder is not None:
                registry.remove(name)
                log.info("alias deleted", alias=name)

    async def _follow(self, wanted: TargetVersion) -> bool:
        """Serve the version of one alias.

        Returns:
            Whether the version is served now.
        """
        alias = wanted.alias
        if self._switcher.is_fixed(alias.alias):
            return False
        served = self._switcher.registry.served.get(alias.alias)
        if served is not None and _is(served, alias.index, alias.version):
            self._failed.pop(alias.alias, None)
            return True
        attempt = (alias.revision, wanted.verified_at)
        if self._failed.get(alias.alias) == attempt:
            return False
        try:
            version = await self._switcher.load(VersionFacts(index=alias.index, version=alias.version))
        except NotFound:
            log.warning("version directory not found", index=alias.index, version=alias.version)
            self._again_at = asyncio.get_running_loop().time() + ABSENT_SECONDS
            return False
        except Conflict:  # the version is unservable or damaged, and the log has the reason
            self._failed[alias.alias] = attempt
            return False
        self._failed.pop(alias.alias, None)
        self._switcher.serve(alias.alias, version)
        return True

    def _read_cards(self, served: list[ServedVersion]) -> None:
        """Read quality cards that appeared or changed."""
        for version in served:
            if version.folder is None:
                continue
            path = card_path(version.folder)
            state = _state(path)
            if self._cards.get(path, ()) != state:
                version.attributor.index.read_quality()
                log.info("quality card read", index=version.attributor.name, version=version.version)
            self._cards[path] = state


def _is(served: ServedVersion, index: str, version: str) -> bool:
    return (served.attributor.name, served.version) == (index, version)


def _state(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns
