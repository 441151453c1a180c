"""Places of a large training set's chunks, kept between processes: a query must not encode the training set again.

The files lie in the cache folder of the user, `~/.cache/byline/chunks` on Linux. Their names cover all that the places
depend on. They may be deleted.
"""

import hashlib
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import platformdirs

from byline.version import __version__


def cache_file(*parts: object) -> Path | None:
    """Name the file of a training set. None for a user without a home folder, as some containers have.

    Args:
        parts: What the places depend on: the data's state, the tokenizer, the lengths.
    """
    name = hashlib.sha256(repr((__version__, *parts)).encode()).hexdigest()[:32]
    try:
        folder = platformdirs.user_cache_path("byline", appauthor=False)
    except (RuntimeError, OSError):
        return None
    return folder / "chunks" / f"{name}.npz" if folder.is_absolute() else None


def load_places(file: Path, names: tuple[str, ...]) -> dict[str, np.ndarray] | None:
    """Read arrays. None where there is no such file, or a damaged one.

    Args:
        file: From `cache_file`.
        names: Names of the arrays.
    """
    try:
        with np.load(file, allow_pickle=False) as found:
            return {name: found[name] for name in names}
    except (OSError, ValueError, KeyError, BadZipFile, EOFError):
        return None


def keep_places(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays in one step. A folder that cannot be written is left alone: the next process encodes again.

    Args:
        file: From `cache_file`.
        arrays: By name.
    """
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as temporary:
            np.savez(temporary, allow_pickle=False, **arrays)
        Path(temporary.name).replace(file)
