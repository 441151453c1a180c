"""Files and folders of this machine: a URL is refused before a folder is made of its name."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from os import PathLike
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from byline.errors import InvalidInput

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


def local_path(path: Path | str, what: str = "it") -> Path:
    """Take a path as it is.

    Args:
        path: A file or folder, there or not.
        what: Names the setting to people.

    Raises:
        InvalidInput: It is a URL, or no path at all.
    """
    if not isinstance(path, str | PathLike):
        raise InvalidInput(
            f"expected {what} to be a path, a str or a pathlib.Path, got {type(path).__name__}"
        )
    if str(path) == "":
        raise InvalidInput(f"expected {what} to be a path, got an empty one: '.' is the current folder")
    url = _URL.match(str(path))
    if url is None:
        return Path(path)
    if url[1].lower() == "file":
        raise InvalidInput(f"expected {what} to be a path, got a file: URL: leave out 'file://'")
    raise InvalidInput(
        f"expected {what} to be a file or folder of this machine, got a {url[1]}: URL: mount that storage or copy the "
        f"files (an index is a plain folder, which may be copied anywhere), and name the path here"
    )


_task_folder: ContextVar[Path] = ContextVar("task_folder", default=Path())


@contextmanager
def relative_to(folder: Path) -> Iterator[None]:
    """Make `TaskPath`s relative to the folder of the Task's file while its code runs.

    Args:
        folder: The folder of the file.

    Yields:
        Nothing.
    """
    token = _task_folder.set(folder)
    try:
        yield
    finally:
        _task_folder.reset(token)


def in_task_folder(path: Path) -> Path:
    """Make a path relative to the folder of the Task's file while its code runs, and to the current folder otherwise.

    `~` is the user's home.
    """
    return _task_folder.get() / _expanded(path)  # an absolute path stays as it is


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # no such user, or one without a home
        return path


TaskPath = Annotated[Path, AfterValidator(local_path), AfterValidator(in_task_folder)]
"""A path that a Task's file names: relative to that file, or to the current folder for a Task in memory."""
LocalPath = Annotated[Path, AfterValidator(local_path)]
"""A setting that names a file or folder of this machine."""
