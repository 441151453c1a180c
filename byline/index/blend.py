"""The blend beside a version, `<version>.blend.json`: a setting that no stored vector depends on.

A version is immutable and named by the sources of its vectors. So another weight needs another file, and no other version.
"""

from pathlib import Path

from pydantic import ValidationError

from byline.api.blend import Blend
from byline.errors import CorruptIndex
from byline.index.durable import replace_file


def blend_path(version: Path) -> Path:
    """Return the path of a version's blend."""
    return version.with_name(f"{version.name}.blend.json")


def read_blend(version: Path) -> Blend | None:
    """Read the blend beside a version.

    Args:
        version: The version's directory.

    Returns:
        The blend. None where the index has none.

    Raises:
        CorruptIndex: The file cannot be read.
    """
    path = blend_path(version)
    try:
        return Blend.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise CorruptIndex(
            f"{path.name}: expected a baseline and its weight: run `byline build` again"
        ) from error


def write_blend(version: Path, blend: Blend | None) -> None:
    """Put a blend beside a version, replacing another. Nothing is written where the file says the same.

    Args:
        version: The version's directory.
        blend: The blend. None removes the file.
    """
    path = blend_path(version)
    data = None if blend is None else blend.model_dump_json(indent=1).encode() + b"\n"
    if data is None:
        path.unlink(missing_ok=True)
    elif not path.is_file() or path.read_bytes() != data:
        replace_file(path, data)
