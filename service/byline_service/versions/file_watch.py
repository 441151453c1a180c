"""Files of served versions, while they are served: none is cut off, and every byte is read again from time to time.

A file that is mapped into memory and cut off ends the process at the next access to its lost pages (SIGBUS). So its size is
compared before each request. Bytes that change in place, or rot, are found by the periodic reading.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from byline.errors import BylineError, CorruptIndex
from byline.index.manifest import FileRecord
from byline.index.verification import verify

if TYPE_CHECKING:
    from byline_service.versions.served_version import ServedVersion
    from byline_service.versions.switcher import Switcher

log = structlog.get_logger("service.versions")
BUSY_SHARE = 0.2
"""Largest share of the time in which the periodic reading works. It rests between files."""


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


class FileWatch:
    """Reads every byte of the served versions again, one version after the other, with a low share of the time.

    Args:
        switcher: Serves the versions, and takes damaged ones out of service.
        seconds: Seconds between the end of one reading and the start of the next.
    """

    def __init__(self, switcher: "Switcher", seconds: float) -> None:
        self._switcher = switcher
        self._seconds = seconds
        self._reading = ThreadPoolExecutor(1, "watching")
        self._closed = False

    async def run(self) -> None:
        """Read again until cancelled."""
        try:
            while True:
                await asyncio.sleep(self._seconds)
                for version in {id(each): each for each in self._switcher.registry.served.values()}.values():
                    await self.check(version)
        finally:
            self._closed = True
            self._reading.shutdown(wait=False, cancel_futures=True)

    async def check(self, version: "ServedVersion") -> None:
        """Read a version, and take it out of service if it is damaged."""
        if version.folder is None:
            return
        loop = asyncio.get_running_loop()
        try:
            report = await loop.run_in_executor(self._reading, self._read, version.folder)
        except (BylineError, OSError, _ClosedError) as error:
            log.warning("served version not read", index=version.attributor.name, error=type(error).__name__)
            return
        if report:
            await self._switcher.take_out(version, report)

    def _read(self, folder: Path) -> str | None:
        """Return what is wrong with a version. None if nothing is."""
        began = time.monotonic()

        def rest(*_: object) -> None:
            nonlocal began
            if self._closed:
                raise _ClosedError
            time.sleep(min(1.0, (time.monotonic() - began) * (1 / BUSY_SHARE - 1)))
            began = time.monotonic()

        findings = verify(folder, rest).findings
        return f"{findings[0].path}: {findings[0].problem}" if findings else None


class _ClosedError(Exception):
    """The service is shutting down."""
