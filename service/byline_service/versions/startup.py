"""The versions that are served at startup: those of the aliases, or without aliases the current one of a directory."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from byline.attribution.attributor import Attributor
from byline.errors import BylineError, InvalidInput, NotFound, UnusableIndex
from byline.index.index import find_version
from byline.index.manifest import Manifest, read_manifest
from byline_service.database import Database
from byline_service.versions import queries, transactions
from byline_service.versions.directory import IndexDirectory, UnusableError
from byline_service.versions.records import NAME, AliasRecord, VersionFacts
from byline_service.versions.served_version import ServedVersion

if TYPE_CHECKING:
    from byline_service.settings import Settings

log = structlog.get_logger("service.versions")


@dataclass(frozen=True, kw_only=True)
class IndexArgument:
    """An index of the command line: `DIRECTORY` or `NAME=DIRECTORY`.

    A name has no slash, so `./a=b` is a directory.
    """

    name: str
    """Name under which the index is served: the given one, or that of its Task."""
    folder: Path
    """Directory of the current version, or the given version directory."""
    directory: IndexDirectory
    """Directory of the index, with its other versions."""
    managed: bool
    """Whether the database decides which version is served. A renamed version directory is not managed: its answers would
    name another version than the alias, so it is served unchanged."""
    aliases_in: str = "the database"
    """Database of the aliases, as messages name it."""
    unusable: BylineError | None = None
    """Why the current version cannot be read. `folder` is then another version, which identifies the index, and an alias
    must name the version to serve."""

    @classmethod
    def parse(cls, given: str, settings: "Settings", *, with_task: bool = True) -> "IndexArgument":
        """Find an index.

        Args:
            given: The argument.
            settings: Threads and baselines.
            with_task: Whether the Task is loaded.

        Raises:
            NotFound: The directory holds no index.
            UnusableIndex: The pointer or the manifest is damaged, and there is no other version.
            InvalidInput: The name is not valid.
        """
        name, separator, path = given.partition("=")
        named = bool(separator) and "/" not in name
        folder, manifest, unusable = _identified(Path(path if named else given))
        chosen = name if named else manifest.task.name
        if not NAME.fullmatch(chosen):
            raise InvalidInput(
                f"expected index names like {NAME.pattern}, got one of {len(chosen)} characters"
            )
        absolute = folder.absolute()
        directory = IndexDirectory(
            index=chosen,
            path=absolute.parent,
            with_task=with_task,
            threads=settings.threads,
            baselines=settings.baselines,
        )
        managed = absolute.name == manifest.fingerprint.version and not folder.is_symlink()
        return cls(
            name=chosen,
            folder=folder,
            directory=directory,
            managed=managed,
            aliases_in="the database" if settings.database_url else str(settings.data_dir),
            unusable=unusable,
        )


def _identified(path: Path) -> tuple[Path, Manifest, BylineError | None]:
    """Return the current version of an index and its manifest. If unreadable, another version and the error."""
    try:
        folder = find_version(path)
        return folder, read_manifest(folder), None
    except (UnusableIndex, NotFound) as error:
        for folder in sorted(path.iterdir()) if path.is_dir() else ():
            with suppress(UnusableIndex, NotFound):
                manifest = read_manifest(folder)
                if manifest.fingerprint.version == folder.name and not folder.is_symlink():
                    return folder, manifest, error
        raise


async def aliases_of(database: Database, indexes: Collection[str]) -> list[AliasRecord]:
    """Return the aliases of some indexes.

    Raises:
        InvalidInput: An index has the name of another index's alias.
    """
    async with database.read() as tx:
        for name in indexes:
            found = await queries.find_alias(tx, name)
            if found is not None:
                transactions.require_own(found)
        return [each.alias for each in await queries.target_versions(tx, indexes)]


@dataclass(frozen=True)
class OpenedVersions:
    """The versions that were opened at startup, and those that cannot be served."""

    served: Mapping[str, ServedVersion]
    """Opened versions, by the name under which they are served."""
    unusable: Sequence[tuple[VersionFacts, UnusableError]]
    """Versions of aliases that cannot be served, with the reasons."""


def open_first(given: IndexArgument, aliases: Sequence[AliasRecord]) -> OpenedVersions:
    """Open the versions that the aliases of an index point to.

    If a version is unusable, the previous one is served: a replica that restarts is then no worse off than one that did
    not.

    Args:
        given: The index.
        aliases: The aliases of this index.

    Raises:
        UnusableIndex: Nothing can be served under the index's own name.
        BylineError: The current version is unusable, and no alias names another one.
        NotFound: The directory of the alias's version does not exist.
    """
    if not given.managed:
        opener = Attributor.open if given.directory.with_task else Attributor.open_without_task
        attributor = opener(given.folder, threads=given.directory.threads, name=given.name)
        return OpenedVersions({given.name: ServedVersion.of(attributor)}, [])
    opening = _Opening(given)
    for alias in aliases:
        opening.open(alias, _order(alias))
    if not any(alias.alias == given.name for alias in aliases):
        if given.unusable is not None:
            raise given.unusable
        opening.open(None, [given.folder.name])
    return OpenedVersions(opening.served, opening.unusable)


def _order(alias: AliasRecord) -> list[str]:
    return [alias.version, *([alias.previous] if alias.previous is not None else [])]


class _Opening:
    def __init__(self, given: IndexArgument) -> None:
        self._given = given
        self._directory = given.directory
        self.served: dict[str, ServedVersion] = {}
        self.unusable: list[tuple[VersionFacts, UnusableError]] = []

    def open(self, alias: AliasRecord | None, order: Sequence[str]) -> None:
        index = self._directory.index
        name = index if alias is None else alias.alias
        failed: BaseException | None = None
        for version in order:
            try:
                self.served[name] = self._version(version)
            except NotFound as error:
                failed = failed or error
            except UnusableError as error:
                failed = failed or error.__cause__ or error
                self.unusable.append((VersionFacts(index=index, version=version), error))
            else:
                return
        if name != index or failed is None:
            return
        if alias is not None and isinstance(failed, NotFound | UnusableIndex):
            raise type(failed)(_way_out(self._given, alias, failed)) from failed
        raise failed

    def _version(self, version: str) -> ServedVersion:
        for each in self.served.values():
            if each.version == version:
                return each
        return self._directory.open(version)


def _way_out(given: IndexArgument, alias: AliasRecord, failed: BylineError) -> str:
    """Say which alias points at a version that cannot be served, and what the operator can do."""
    place = given.directory.path
    switch = f"`byline versions switch {alias.alias}={place} VERSION`"
    points = f"in {given.aliases_in} the alias {alias.alias} points to version {alias.version}"
    if isinstance(failed, NotFound):
        return (
            f"{points}, expected it in {place}, found no such directory: if this is another index, serve it as "
            f"NAME={place} or set another BYLINE_DATA_DIR; if the alias is out of date, run {switch}"
        )
    return f"{failed}. {points[0].upper()}{points[1:]}: choose one that can be served with {switch}"
