"""Write files so that a crash leaves the old state or the new one, and nothing between."""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".tmp-"
"""Begins the names of files that are being written."""
_ABANDONED = 3600.0
"""Seconds after which a temporary file's writer must have been killed: small files are written at once."""


@contextmanager
def durable_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new file for writing whose bytes are on disk when the block ends.

    Args:
        path: Replaced if it exists.

    Yields:
        The open file.
    """
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Have the bytes of a file, or the entries of a directory, written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(root: Path) -> None:
    """Have a directory and everything below it written to the disk, deepest entries first."""
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            sync(Path(folder, name))
        sync(Path(folder))


@contextmanager
def atomic_replacement(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Put a file in place atomically: readers see the old one or the new one.

    Args:
        path: The file.
        durable: Have its bytes on the disk before its name changes. The name itself is not waited for.

    Yields:
        A name of this process's own beside it, to be written under.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{uuid.uuid4().hex}")
    try:
        yield temporary
        if durable:
            sync(temporary)  # before the rename: else a crash could leave the new name with an empty file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sweep_abandoned(folder: Path) -> None:
    """Delete what killed writers of small files left in a folder that others may be writing to now."""
    for path in folder.glob(f"{TEMPORARY}*"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()


def replace_file(path: Path, data: bytes) -> None:
    """Put a small file in place atomically, and its name on the disk."""
    with atomic_replacement(path) as temporary:
        temporary.write_bytes(data)
    sync(path.parent)
