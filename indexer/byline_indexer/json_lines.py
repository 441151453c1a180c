"""Read a file of JSON objects line by line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from byline.errors import InvalidInput
from byline.paths import local_path

MARK = b"\xef\xbb\xbf"
"""The byte order mark that some editors begin a file with."""


def json_lines(path: Path, option: str, what: str) -> Iterator[tuple[int, dict[str, Any]]]:
    r"""Read one JSON object a line. Empty lines are skipped. Only `\n` ends a line: JSON may hold what Unicode calls one.

    Args:
        path: The file.
        option: Names the option in messages.
        what: Names one of the objects in messages: `query`.

    Yields:
        A line's number, from 1, and its object.

    Raises:
        InvalidInput: The file cannot be read, holds nothing, or a line is no JSON object.
    """
    local_path(path, option)
    found = False
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                text = (line.removeprefix(MARK) if number == 1 else line).strip()
                if text:
                    found = True
                    yield number, _object(text.decode(), f"{path}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"expected a {what} a line, as UTF-8 JSON, in {path}: {error}") from error
    if not found:
        raise InvalidInput(f"expected at least one {what} in {path}, got an empty file")


def _object(text: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"{place}: expected a JSON object: {error}") from None
    except RecursionError:
        raise InvalidInput(f"{place}: expected a JSON object, got one that is nested too deeply") from None
    if not isinstance(value, dict):
        raise InvalidInput(f"{place}: expected a JSON object, got a {type(value).__name__}")
    return value
