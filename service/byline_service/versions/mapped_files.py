"""Sizes of a served version's files: a file that is mapped into memory must not be cut off.

The next access to its lost pages would end the process (SIGBUS). So the sizes are compared before each request and batch.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from byline.errors import CorruptIndex
from byline.index.manifest import FileRecord


class MappedFiles:
    """Sizes of the files of a version, for a comparison before each request.

    Args:
        folder: Directory of the version.
        files: Records of the manifest.
    """

    def __init__(self, folder: Path, files: Mapping[str, FileRecord]) -> None:
        self._files = [
            (name, str(folder / name), (folder / name).stat().st_ino, record.size)
            for name, record in files.items()
        ]

    def require_whole(self) -> None:
        """Require that no file was cut off. A file that was replaced or deleted stays as it is in memory.

        Raises:
            CorruptIndex: A file is shorter than the manifest says.
        """
        for name, path, inode, size in self._files:
            try:
                found = os.stat(path)  # noqa: PTH116 - before every request, and twice as fast as a Path's
            except OSError:
                continue
            if found.st_size < size and found.st_ino == inode:
                raise CorruptIndex(
                    f"{name}: has {found.st_size} bytes, the manifest says {size}: restore or rebuild the index"
                )
