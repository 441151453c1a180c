"""Publish a finished index at one moment: rename it into place, then point to it."""

import re
import shutil
from pathlib import Path

from byline.errors import CorruptIndex, NotFound
from byline.index.durable import replace_file, sweep_abandoned, sync, sync_tree
from byline.index.layout import CURRENT, DIGEST_CACHE
from byline.index.verification import DigestCache, Progress, verify

_VERSION = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def publish(work: Path, destination: Path, progress: Progress | None = None) -> Path:
    """Move a finished index to its place.

    Where a version of that name already is, it was built from the same things: it stays if it is intact, and
    is replaced if it is not. The digests that are read on the way spare the first opening its reading.

    Args:
        work: A complete directory on the same file system, as `write_index` leaves it.
        destination: The version's directory, in the index directory.
        progress: Called with ("verify", bytes done, bytes in all).

    Returns:
        The destination.

    Raises:
        CorruptIndex: `work` is not what its manifest says.
    """
    digests = DigestCache(destination.parent / DIGEST_CACHE)
    report = verify(work, progress, digests)
    if not report.intact:
        raise CorruptIndex(f"{work / report.findings[0].path}: {report.findings[0].problem}: build again")
    sync_tree(work)
    shutil.rmtree(_aside(destination), ignore_errors=True)  # of a publication that was killed
    if destination.exists():
        if verify(destination, progress).intact:
            shutil.rmtree(work)
            return destination
        _discard(destination)
    work.rename(destination)
    sync(destination.parent)
    sync(work.parent)
    sweep_abandoned(destination.parent)
    digests.move(work, destination)
    digests.save()
    return destination


def _discard(broken: Path) -> None:
    """Move a broken version out of the way: rename it first, so that no reader opens half of it."""
    broken.rename(_aside(broken))
    shutil.rmtree(_aside(broken))


def _aside(version: Path) -> Path:
    return version.with_name(f".{version.name}.broken")


def point_to_version(index: Path, version: str) -> None:
    """Make a version the current one. Readers see the old pointer or the new one.

    Args:
        index: The index directory.
        version: Name of a version's directory in it.

    Raises:
        NotFound: There is no such version.
    """
    if not _VERSION.fullmatch(version) or not (index / version).is_dir():
        raise NotFound(f"{index}: has no version of that name to point at")
    replace_file(index / CURRENT, f"{version}\n".encode())


def current_version(index: Path) -> str:
    """Read the pointer.

    Raises:
        NotFound: No version was ever pointed at.
        CorruptIndex: The pointer is not the name of a version that is there.
    """
    pointer = index / CURRENT
    try:
        line = pointer.read_bytes().decode("ascii", errors="replace")
    except FileNotFoundError as error:
        raise NotFound(f"{index}: no index has been published here") from error
    except OSError as error:
        raise CorruptIndex(f"{pointer}: cannot be read ({error.strerror}): build again") from error
    version = line.removesuffix("\n")
    if not line.endswith("\n") or not _VERSION.fullmatch(version) or not (index / version).is_dir():
        raise CorruptIndex(
            f"{pointer}: is not the name of a version beside it: restore the version, or build again"
        )
    return version
