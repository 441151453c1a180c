"""An index's directory: the versions in it, opened and verified by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from byline.api.terms import Similarity
from byline.attribution.attributor import Attributor
from byline.errors import BylineError, CorruptIndex, InvalidInput, NotFound, UnusableIndex
from byline.index.layout import DIGEST_CACHE
from byline.index.manifest import Manifest, read_manifest
from byline.index.verification import DigestCache, verify
from byline_service.versions.records import VersionFacts, check_name
from byline_service.versions.served_version import ServedVersion

Progress = Callable[[int, int], None]
"""Called with the bytes that were read, and those in all; may raise to end the reading."""


class UnusableError(Exception):
    """A version cannot be served; the message says why, without paths of this machine or content."""


@dataclass(frozen=True, kw_only=True)
class IndexDirectory:
    """Where the versions of one index lie, and how they are opened. Reading takes time: not on the event loop."""

    index: str
    """The name that the index is served under."""
    path: Path
    """The directory that holds the versions' directories."""
    with_task: bool = True
    """Whether the Task and its models are loaded."""
    threads: int | None = None
    """Search threads; None leaves the libraries' own number."""
    baselines: tuple[Similarity, ...] = ()
    """Rankings by similarity that are offered where the Task allows."""

    def folder(self, version: str) -> Path:
        """Find the directory of a version.

        Raises:
            InvalidInput: That is no name.
            NotFound: There is no such directory, or it is a link.
        """
        check_name("a version", version)
        folder = self.path / version
        if folder.is_symlink() or not folder.is_dir():
            raise NotFound("expected the name of a directory inside the index's own, found none of that name")
        return folder

    def facts(self, version: str) -> VersionFacts:
        """Read what identifies a version; of one whose manifest is damaged, its name alone.

        Raises:
            InvalidInput: That is no name; or the directory was renamed, and answers would name another version.
            NotFound: There is no such directory.
        """
        folder = self.folder(version)
        try:
            manifest = read_manifest(folder)
        except UnusableIndex:
            return VersionFacts(index=self.index, version=version)
        if manifest.fingerprint.version != version:
            raise InvalidInput(
                f"expected the directory of a version to bear its name, {manifest.fingerprint.version}: name it so"
            )
        return VersionFacts(
            index=self.index,
            version=version,
            manifest_digest=manifest.digest,
            recipe=str(manifest.recipe["name"]),
            recipe_fingerprint=manifest.fingerprint.recipe,
        )

    def open(self, version: str, manifest_digest: str | None = None) -> ServedVersion:
        """Open a version, verify it (digests of files that did not change are remembered) and ask it once.

        Args:
            version: Its name.
            manifest_digest: What it was registered as; None holds it to nothing.

        Raises:
            InvalidInput: That is no name.
            NotFound: There is no such directory.
            UnusableError: It cannot be served.
        """
        folder = self.folder(version)
        try:
            opener = Attributor.open if self.with_task else Attributor.open_without_task
            attributor = opener(folder, threads=self.threads, name=self.index)
            _check_digest(attributor.index.manifest, manifest_digest)
            attributor.similarities.offer(self.baselines)
            attributor.warm()
        except MemoryError:
            raise  # says nothing about the version
        except Exception as error:
            raise UnusableError(self._reason(error)) from error
        return ServedVersion(attributor, version, folder)

    def verify(self, version: str, manifest_digest: str | None, progress: Progress) -> ServedVersion:
        """Read every byte of a version, whatever is remembered, then open it; raises as `open` does.

        Args:
            version: Its name.
            manifest_digest: What it was registered as; None holds it to nothing.
            progress: Told how far the reading is.
        """
        folder = self.folder(version)
        digests = DigestCache(self.path / DIGEST_CACHE)
        try:
            report = verify(folder, lambda _, done, total: progress(done, total), digests)
        except (BylineError, OSError) as error:
            raise UnusableError(self._reason(error)) from error
        if report.findings:
            first, more = report.findings[0], len(report.findings) - 1
            also = f", and {more} more" if more else ""
            raise UnusableError(f"{first.path}: {first.problem.replace(f'{folder}/', '')}{also}")
        digests.save()
        return self.open(version, manifest_digest)

    def _reason(self, error: Exception) -> str:
        """Why a version is unusable: Byline's messages hold no content; of others, the type."""
        if isinstance(error, BylineError):
            return str(error).replace(f"{self.path.resolve()}/", "").replace(f"{self.path}/", "")
        return f"opening it raised {type(error).__name__}"


def _check_digest(manifest: Manifest, registered: str | None) -> None:
    if registered is not None and manifest.digest != registered:
        raise CorruptIndex(
            "the manifest is not the one that was registered: restore the files, or publish under another name"
        )
