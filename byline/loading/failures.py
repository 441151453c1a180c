"""Describe failures of a Task's code in one line: the function, its error and the place."""

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from pydantic import ValidationError

from byline.api.validation import described
from byline.errors import BylineError, InvalidTask

_LONGEST = 300
"""Characters of a foreign message that are kept."""
_ROOT = Path(__file__).resolve().parents[2]
OWN_FOLDERS = tuple(
    _ROOT / name
    for name in (
        "byline",
        "byline_indexer",
        "byline_service",
        "indexer/byline_indexer",
        "service/byline_service",
    )
)
"""Byline's own code: installed, and in a checkout."""
_INSTALLED = tuple(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "purelib", "platlib"))
OUT_OF_MEMORY = (MemoryError, torch.OutOfMemoryError)
"""Errors of a full memory: nothing is wrong with the input."""


@contextmanager
def task_code_failures(name: str, advice: str = "correct it") -> Iterator[None]:
    """Run code of a Task, and name the function in every error that it raises.

    Args:
        name: Name of the code: `Task.collate`.
        advice: Advice of the message.

    Yields:
        Nothing.

    Raises:
        InvalidTask: It raised anything but an error of Byline's or for want of memory.
    """
    try:
        yield
    except (BylineError, *OUT_OF_MEMORY):
        raise
    except Exception as error:
        raise InvalidTask(f"{name} raised {error_text(error)}{error_place(error)}: {advice}") from error


def error_text(error: BaseException) -> str:
    """Put an error into one line: its type and its own words, shortened.

    Args:
        error: Raised by code of a Task, or by a library that it calls.
    """
    said = described(error) if isinstance(error, ValidationError) else str(error)
    line = "".join(letter if letter.isprintable() else " " for letter in " ".join(said.split()))
    line = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def error_place(error: BaseException) -> str:
    """Say where code of the user's own raised an error, or called what raised it: ` (mytask.py:14, in loss)`."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_users(frame.filename)]
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno}, in {frames[-1].name})" if frames else ""


def is_users(file: str) -> bool:
    """Tell whether a source file is neither Byline's nor installed."""
    return not file.startswith((*(f"{own}/" for own in OWN_FOLDERS), *_INSTALLED, "<"))
