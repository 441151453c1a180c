"""Keep the metadata of every row, so that a build calls `Task.describe` once a row however often it reads them."""

import tempfile
import weakref
from array import array

from byline.api.example import Example

_IN_MEMORY = 1 << 24
"""Bytes that are kept in memory. A longer spool goes to a temporary file without a name, which no crash leaves behind."""


class ExampleSpool:
    """Examples in the order of their rows, as JSON and PNG. Memory holds 16 MiB and 16 bytes a row."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  # closed with the spool
        self._ends = array("q", [0])
        weakref.finalize(self, self._file.close)

    def append(self, text: str, image: bytes | None = None) -> None:
        """Keep the next row's example.

        Args:
            text: `Example.model_dump_json()` of it.
            image: Its thumbnail, which that leaves out.
        """
        self._file.seek(self._ends[-1])
        for part in (text.encode(), image or b""):
            self._ends.append(self._ends[-1] + self._file.write(part))

    def example(self, row: int) -> Example:
        """Read one row's example."""
        start, middle, end = self._ends[2 * row : 2 * row + 3]
        self._file.seek(start)
        example = Example.model_validate_json(self._file.read(middle - start))
        image = self._file.read(end - middle)
        return example.model_copy(update={"image": image}) if image else example
