"""Periodic reading of the files of served versions: it finds bytes that change in place, or rot."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from byline.errors import BylineError
from byline.index.verification import verify
from byline_service.versions.served_version import ServedVersion
from byline_service.versions.switcher import Switcher

log = structlog.get_logger("service.versions")
BUSY_SHARE = 0.2
"""Largest share of the time in which the periodic reading works. It rests between files."""


class FileWatch:
    """Reads every byte of the served versions again, one version after the other, with a low share of the time.

    Args:
        switcher: Serves the versions, and takes damaged ones out of service.
        seconds: Seconds between the end of one reading and the start of the next.
    """

    def __init__(self, switcher: Switcher, seconds: float) -> None:
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

    async def check(self, version: ServedVersion) -> None:
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
