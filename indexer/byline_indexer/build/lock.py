"""Keeps two builds of the same index version apart."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from byline.errors import BuildFailed


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a file lock; the kernel lets go of it when the process ends, however it ends.

    Args:
        path: The lock file; made if need be, removed at the end.

    Raises:
        BuildFailed: Another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _acquire(path)
    try:
        yield
    finally:
        # Removed while it is held: whoever had opened it notices that the name leads elsewhere.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise BuildFailed(
                f"another process is building the same version (it holds {path}): "
                f"wait for it to finish, or stop it and run the command again"
            ) from None
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
        os.close(descriptor)
