"""Compare an index directory with its manifest: the same files, each with its size and SHA-256."""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byline.errors import CorruptIndex
from byline.index.canonical_json import canonical_json
from byline.index.durable import replace_file
from byline.index.layout import MANIFEST
from byline.index.manifest import FileRecord, Manifest, read_manifest

Progress = Callable[[str, int, int], None]
_CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    """Digest a file's content, block by block."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class DigestCache:
    """Digests of files that were read before, so that opening an index again does not read all of it.

    An entry holds for the device, inode, size and times of modification and change that it was taken at.
    A bit that rots on the disk changes none of these: `byline verify` reads everything.
    """

    def __init__(self, path: Path | None):
        self._path = path
        self._entries = _read_entries(path)
        self._changed = False

    def sha256(self, path: Path) -> str:
        """Digest a file, or take its digest from the cache where it holds."""
        key = str(path.resolve())
        before = _identity(path)
        entry = self._entries.get(key)
        if entry is not None and entry[:-1] == before:
            return str(entry[-1])
        return self.read(path)

    def read(self, path: Path) -> str:
        """Read and digest a file without the cache, and remember the digest."""
        before = _identity(path)
        digest = sha256_of(path)
        if _identity(path) == before:
            self._entries[str(path.resolve())] = [*before, digest]
            self._changed = True
        return digest

    def move(self, old: Path, new: Path) -> None:
        """Note that a directory was renamed, which leaves the files below it as they are."""
        gone = f"{old.resolve()}{os.sep}"
        for key in [key for key in self._entries if key.startswith(gone)]:
            self._entries[str(new.resolve() / key.removeprefix(gone))] = self._entries.pop(key)

    def save(self) -> None:
        """Keep what was learned. Where the place is read-only, the next opening reads again."""
        if self._path is None or not self._changed:
            return
        try:
            replace_file(self._path, canonical_json(self._entries))
        except OSError:
            return


def _read_entries(path: Path | None) -> dict[str, list[Any]]:
    if path is None:
        return {}
    try:
        entries = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) and all(isinstance(e, list) for e in entries.values()) else {}


def _identity(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with an index."""

    path: str
    """Relative to the version's directory."""
    problem: str
    """The problem, in a few words."""


@dataclass(frozen=True)
class VerificationReport:
    """The result of `verify`."""

    files: int
    """Number of files that were compared, the manifest included."""
    size: int
    """Bytes of all compared files."""
    findings: tuple[Finding, ...]
    """Differences from the manifest. Empty for an intact index."""

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify(
    directory: Path, progress: Progress | None = None, remember: DigestCache | None = None
) -> VerificationReport:
    """Read every byte of an index and compare it with the manifest, without a cache.

    Args:
        directory: A version's directory.
        progress: Called with ("verify", bytes done, bytes in all).
        remember: Learns the digests that are read.

    Returns:
        Everything that is wrong, not only the first thing.

    Raises:
        NotFound: There is no directory.
        IncompatibleIndex: The manifest is of another schema version.
    """
    try:
        manifest = read_manifest(directory)
    except CorruptIndex as error:
        return VerificationReport(0, 0, (Finding(MANIFEST, str(error)),))
    read = sha256_of if remember is None else remember.read
    total = sum(record.size for record in manifest.files.values())
    findings = list(layout_findings(directory, manifest.files))
    wrong = {finding.path for finding in findings}
    done = 0
    for name, record in sorted(manifest.files.items()):
        if name not in wrong and read(directory / name) != record.sha256:
            findings.append(Finding(name, "its SHA-256 differs from the manifest's"))
        done += record.size
        if progress is not None:
            progress("verify", done, total)
    return VerificationReport(len(manifest.files) + 1, total, tuple(findings))


def layout_findings(directory: Path, files: Mapping[str, FileRecord]) -> Iterator[Finding]:
    """Compare names, kinds and sizes, without reading.

    Yields:
        What is missing, of another size, or not in the manifest.
    """
    present = {}
    for path in directory.rglob("*"):
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode):
            present[path.relative_to(directory).as_posix()] = status
    for name, record in sorted(files.items()):
        status_or_none = present.pop(name, None)
        if status_or_none is None:
            yield Finding(name, "is missing")
        elif not stat.S_ISREG(status_or_none.st_mode):
            yield Finding(name, "is not a plain file")
        elif status_or_none.st_size != record.size:
            yield Finding(name, f"has {status_or_none.st_size} bytes, the manifest says {record.size}")
    for name in sorted(present.keys() - {MANIFEST}):
        yield Finding(name, "is not in the manifest")


def require_intact(directory: Path, manifest: Manifest, cache: DigestCache | None) -> None:
    """Refuse an index that differs from its manifest.

    Args:
        directory: A version's directory.
        manifest: Its manifest.
        cache: Cache of digests. None compares names and sizes only.

    Raises:
        CorruptIndex: Names the first file that is wrong.
    """
    for finding in layout_findings(directory, manifest.files):
        raise CorruptIndex(f"{directory / finding.path}: {finding.problem}: restore or rebuild the index")
    if cache is None:
        return
    for name, record in sorted(manifest.files.items()):
        if cache.sha256(directory / name) != record.sha256:
            raise CorruptIndex(
                f"{directory / name}: its SHA-256 differs from the manifest's: restore or rebuild the index"
            )
    cache.save()
