"""Keep two builds of the same index version apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from byline.errors import BuildFailed


@contextmanager
def build_lock(path: Path) -> Iterator[None]:
    """Hold a file lock. The kernel releases it when the process ends, however it ends.

    Args:
        path: The lock file, made if need be, removed at the end.

    Raises:
        BuildFailed: Another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, mode=0o644)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise BuildFailed(
            f"another process is building the same version (it holds {path}): "
            f"wait for it to finish, or stop it and run the command again"
        ) from None
    try:
        yield
    finally:
        # Removed while it is held: a process that has opened it sees that the name leads elsewhere, and opens it anew.
        path.unlink(missing_ok=True)
        lock.release()
