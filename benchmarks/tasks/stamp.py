"""Stamp a folder with the protocol that its files were made by, so that files of two protocols never mix."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

_NAME = "protocol.json"


def stamped(folder: Path, protocol: Any) -> bool:
    """Make a folder, and tell whether it has the stamp of a protocol.

    Args:
        folder: The protocol's.
        protocol: A dataclass of numbers and strings.

    Returns:
        False if the folder has no stamp yet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _NAME
    if path.exists() and path.read_text() != _written(protocol):
        raise SystemExit(f"{folder} was made with another protocol: delete it and run again")
    return path.exists()


def write_stamp(folder: Path, protocol: Any) -> None:
    """Stamp a folder."""
    (folder / _NAME).write_text(_written(protocol))


def _written(protocol: Any) -> str:
    return json.dumps(asdict(protocol), sort_keys=True)
