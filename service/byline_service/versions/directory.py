"""The directory of an index: its versions are opened and verified by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from byline.api.terms import Ranking
from byline.api.versions import VersionState
from byline.attribution.attributor import Attributor
from byline.errors import BylineError, CorruptIndex, InvalidInput, NotFound, UnusableIndex
from byline.index.checks import CheckCache
from byline.index.layout import CHECK_CACHE, DIGEST_CACHE
from byline.index.manifest import Manifest, read_manifest
from byline.index.verification import DigestCache, verify
from byline_service.versions.records import VersionFacts, check_name
from byline_service.versions.served_version import ServedVersion

Progress = Callable[[int, int], None]
"""Called with the bytes read and the bytes in all. It may raise to stop the reading."""


class UnusableError(Exception):
    """A version cannot be served. The message gives the reason without paths of this machine and without content.

    Args:
        message: The reason.
        damaged: Whether bytes were found that differ from the manifest.
    """

    def __init__(self, message: str, *, damaged: bool) -> None:
        super().__init__(message)
        self.state = VersionState.DAMAGED if damaged else VersionState.UNSERVABLE
        """State of the version."""


@dataclass(frozen=True, kw_only=True)
class IndexDirectory:
    """The directory of one index. Its methods read files: do not call them on the event loop."""

    index: str
    """Name under which the index is served."""
    path: Path
    """Directory that holds the directories of the versions."""
    with_task: bool = True
    """Whether the Task and its models are loaded."""
    threads: int | None = None
    """Search threads. None leaves the libraries' default."""
    baselines: tuple[Ranking, ...] = ()
    """Baselines that are offered where the Task and the index support them."""

    def folder(self, version: str) -> Path:
        """Return the directory of a version.

        Raises:
            InvalidInput: The name is not valid.
            NotFound: The directory does not exist, or is a link.
        """
        check_name("a version", version)
        folder = self.path / version
        if folder.is_symlink() or not folder.is_dir():
            raise NotFound("expected the name of a directory inside the index's own, found none of that name")
        return folder

    def facts(self, version: str) -> VersionFacts:
        """Read what identifies a version. If its manifest is damaged, only the name is known.

        Raises:
            InvalidInput: The name is not valid, or the directory was renamed, so that answers would name another version.
            NotFound: The directory does not exist.
        """
        folder = self.folder(version)
        try:
            manifest = read_manifest(folder)
        except UnusableIndex:
            return VersionFacts(index=self.index, version=version)
        if manifest.fingerprint.version != version:
            raise InvalidInput(
                f"expected the directory of version {manifest.fingerprint.version} to have its name: rename the directory"
            )
        return VersionFacts(
            index=self.index,
            version=version,
            manifest_digest=manifest.digest,
            recipe=str(manifest.recipe["name"]),
            recipe_fingerprint=manifest.fingerprint.recipe,
        )

    def open(self, version: str, manifest_digest: str | None = None) -> ServedVersion:
        """Open a version, verify it and answer a first query. Cached digests are used for files that did not change.

        Args:
            version: Name of the version.
            manifest_digest: Digest of the registered manifest. None accepts any.

        Raises:
            InvalidInput: The name is not valid.
            NotFound: The directory does not exist.
            UnusableError: The version cannot be served.
        """
        folder = self.folder(version)
        try:
            opener = Attributor.open if self.with_task else Attributor.open_without_task
            attributor = opener(folder, threads=self.threads, name=self.index)
            _check_digest(attributor.index.manifest, manifest_digest)
            attributor.similarities.offer(self.baselines)
            attributor.warm()
        except MemoryError:
            raise  # the version may be intact
        except Exception as error:
            damaged = isinstance(error, CorruptIndex)
            raise UnusableError(self._reason(error), damaged=damaged) from error
        return ServedVersion(attributor, version, folder)

    def verify(self, version: str, manifest_digest: str | None, progress: Progress) -> ServedVersion:
        """Read every byte of a version, then open it, with no use of cached digests or checks. Raises as `open` does.

        Args:
            version: Name of the version.
            manifest_digest: Digest of the registered manifest. None accepts any.
            progress: Called with the progress of the reading.
        """
        folder = self.folder(version)
        digests = DigestCache(self.path / DIGEST_CACHE)
        try:
            report = verify(folder, lambda _, done, total: progress(done, total), digests)
        except (BylineError, OSError) as error:
            raise UnusableError(self._reason(error), damaged=False) from error
        if report.findings:
            first, more = report.findings[0], len(report.findings) - 1
            also = f", and {more} more" if more else ""
            problem = first.problem.replace(f"{folder}/", "")
            raise UnusableError(f"{first.path}: {problem}{also}", damaged=True)
        digests.save()
        CheckCache(self.path / CHECK_CACHE, "").forget()
        return self.open(version, manifest_digest)

    def _reason(self, error: Exception) -> str:
        """Return why a version is unusable: Byline's own message, which holds no content, or the type of another error."""
        if isinstance(error, BylineError):
            return str(error).replace(f"{self.path.resolve()}/", "").replace(f"{self.path}/", "")
        return f"opening the version raised {type(error).__name__}"


def _check_digest(manifest: Manifest, registered: str | None) -> None:
    if registered is not None and manifest.digest != registered:
        raise CorruptIndex(
            "the manifest is not the one that was registered: restore the files, or publish under another name"
        )
