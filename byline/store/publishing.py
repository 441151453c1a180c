"""Makes a finished index visible, at one moment: renamed into place, then pointed at."""

import re
import shutil
from pathlib import Path

from byline.errors import CorruptIndex, NotFound
from byline.store.durable import replace_file, sync, sync_tree
from byline.store.layout import CURRENT
from byline.store.verification import verify

_VERSION = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def publish(work: Path, destination: Path) -> Path:
    """Move a finished index to its place.

    Where a version of that name already is, it was built from the same things: it stays if it is intact, and
    is replaced if it is not.

    Args:
        work: A complete directory on the same file system, as `write_index` leaves it.
        destination: The version's directory.

    Returns:
        The destination.

    Raises:
        CorruptIndex: `work` is not what its manifest says.
    """
    report = verify(work)
    if not report.intact:
        raise CorruptIndex(f"{work / report.findings[0].path}: {report.findings[0].problem}: build again")
    sync_tree(work)
    if destination.exists():
        if verify(destination).intact:
            shutil.rmtree(work)
            return destination
        _discard(destination)
    work.rename(destination)
    sync(destination.parent)
    sync(work.parent)
    return destination


def _discard(broken: Path) -> None:
    """Take a broken version out of the way: renamed first, so that nobody opens half of it."""
    aside = broken.with_name(f".{broken.name}.broken")
    shutil.rmtree(aside, ignore_errors=True)
    broken.rename(aside)
    shutil.rmtree(aside)


def point(index: Path, version: str) -> None:
    """Make a version the current one; readers see the old pointer or the new one.

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
        CorruptIndex: The pointer is not a version's name.
    """
    try:
        version = (index / CURRENT).read_bytes().decode("ascii", errors="replace").removesuffix("\n")
    except FileNotFoundError as error:
        raise NotFound(f"{index}: no index has been published here") from error
    if not _VERSION.fullmatch(version):
        raise CorruptIndex(f"{index / CURRENT}: is not the name of a version: point at one again")
    if not (index / version).is_dir():
        raise NotFound(f"{index}: the current version's directory is not there")
    return version
