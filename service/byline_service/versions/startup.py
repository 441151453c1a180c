"""What is served first: what the aliases say, or where the database knows nothing, what `current` points at."""

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
class GivenIndex:
    """An index as the command line names it: `DIRECTORY` or `NAME=DIRECTORY`.

    No name has a slash: in `./a=b` it is part of a directory.
    """

    name: str
    """Under which it is served: the given one, or its Task's."""
    folder: Path
    """The directory of the version that its pointer names, or that was given itself."""
    directory: IndexDirectory
    """Where its other versions lie."""
    managed: bool
    """Whether the database decides which version is served. Not where the version's directory was renamed: answers
    would name another version than the alias does, so it is served as it is, by itself."""
    unusable: BylineError | None = None
    """Why what its pointer names cannot be read: `folder` is another version then, which only says what the index is,
    and an alias must say which one is served."""

    @classmethod
    def parse(cls, given: str, settings: "Settings", *, with_task: bool = True) -> "GivenIndex":
        """Find an index.

        Args:
            given: What was typed.
            settings: Threads and baselines.
            with_task: Whether its Task is loaded.

        Raises:
            NotFound: There is no index there.
            UnusableIndex: Its pointer or its manifest is damaged, and there is no other version.
            InvalidInput: The name is none.
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
        return cls(name=chosen, folder=folder, directory=directory, managed=managed, unusable=unusable)


def _identified(path: Path) -> tuple[Path, Manifest, BylineError | None]:
    """The version that an index's pointer names, its manifest, and None; or another version, and why it is that."""
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
    """What the database says about some indexes.

    Raises:
        InvalidInput: One has the name of another's alias.
    """
    async with database.read() as tx:
        for name in indexes:
            found = await queries.find_alias(tx, name)
            if found is not None:
                transactions.require_own(found)
        return [each.alias for each in await queries.wanted(tx, indexes)]


@dataclass(frozen=True)
class Opened:
    """What is served first, and what could not be."""

    served: Mapping[str, ServedVersion]
    """By the name that it is served under."""
    unusable: Sequence[tuple[VersionFacts, str]]
    """Versions that an alias stands for and that cannot be served, with the reasons."""


def open_first(given: GivenIndex, aliases: Sequence[AliasRecord]) -> Opened:
    """Open what the aliases of an index stand for.

    Where that is unusable, the version before is served: a replica that starts again is no worse off than one that
    went on.

    Args:
        given: The index.
        aliases: Those of this index.

    Raises:
        UnusableIndex: Nothing can be served under the index's own name.
        BylineError: The same: no alias says what to serve, and the pointer cannot be followed.
        NotFound: Its directory is not there.
    """
    if not given.managed:
        opener = Attributor.open if given.directory.with_task else Attributor.open_without_task
        attributor = opener(given.folder, threads=given.directory.threads, name=given.name)
        return Opened({given.name: ServedVersion.of(attributor)}, [])
    opening = _Opening(given.directory)
    for alias in aliases:
        opening.open(alias, _order(alias))
    if not any(alias.alias == given.name for alias in aliases):
        if given.unusable is not None:
            raise given.unusable
        opening.open(None, [given.folder.name])
    return Opened(opening.served, opening.unusable)


def _order(alias: AliasRecord) -> list[str]:
    return [alias.version, *([alias.previous] if alias.previous is not None else [])]


class _Opening:
    def __init__(self, directory: IndexDirectory) -> None:
        self._directory = directory
        self.served: dict[str, ServedVersion] = {}
        self.unusable: list[tuple[VersionFacts, str]] = []

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
                self.unusable.append((VersionFacts(index=index, version=version), str(error)))
            else:
                return
        if name == index and failed is not None:
            raise failed

    def _version(self, version: str) -> ServedVersion:
        for each in self.served.values():
            if each.version == version:
                return each
        return self._directory.open(version)
