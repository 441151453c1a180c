"""Keep the metadata of every row, so that a build calls `Task.describe` once a row however often it reads them."""

import tempfile
import weakref
from array import array

from byline.api.example import Example

_IN_MEMORY = 1 << 24
"""Bytes that are kept in memory. A longer spool goes to a temporary file without a name, which no crash leaves behind."""


class ExampleSpool:
    """Examples in the order of their rows, as JSON. Memory holds 16 MiB and 8 bytes a row."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  # closed with the spool
        self._ends = array("q", [0])
        weakref.finalize(self, self._file.close)

    def append(self, text: str) -> None:
        """Keep the next row's example.

        Args:
            text: `Example.model_dump_json()` of it.
        """
        self._file.seek(self._ends[-1])
        self._ends.append(self._ends[-1] + self._file.write(text.encode()))

    def example(self, row: int) -> Example:
        """Read one row's example."""
        start, end = self._ends[row], self._ends[row + 1]
        self._file.seek(start)
        return Example.model_validate_json(self._file.read(end - start))
