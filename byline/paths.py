"""Files and folders of this machine: a URL is refused before a folder is made of its name."""

import re
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
        InvalidInput: It is a URL.
    """
    url = _URL.match(str(path))
    if url is None:
        return Path(path)
    if url[1].lower() == "file":
        raise InvalidInput(f"expected {what} to be a path, got a file: URL: leave out 'file://'")
    raise InvalidInput(
        f"expected {what} to be a file or folder of this machine, got a {url[1]}: URL: mount that storage or copy the "
        f"files (an index is a plain folder, which may be copied anywhere), and name the path here"
    )


LocalPath = Annotated[Path, AfterValidator(local_path)]
"""A setting that names a file or folder of this machine."""
