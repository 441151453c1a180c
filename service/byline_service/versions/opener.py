"""Opening and verification of versions, outside the event loop and the compute thread."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from byline.errors import NotFound
from byline.index.faiss_file import set_threads
from byline_service.versions.directory import IndexDirectory, Progress
from byline_service.versions.records import VersionFacts, check_name
from byline_service.versions.served_version import ServedVersion

_T = TypeVar("_T")
_TURN_SECONDS = 0.0005


class Opener:
    """Opens and verifies versions by name.

    It has two threads. One opens the versions to serve, one at a time, so that at most one version more than needed is in
    memory. The other one verifies, which may take minutes and must not delay a switch. The compute thread answers requests
    in the meantime.

    Args:
        directories: Directories of the indexes that this process serves, by name.
    """

    def __init__(self, directories: Mapping[str, IndexDirectory]) -> None:
        self.directories = directories
        # One search thread each: FAISS's setting belongs to the calling thread, and the compute thread keeps its own.
        self._opening = ThreadPoolExecutor(1, "opening", set_threads, (1,))
        self._verifying = ThreadPoolExecutor(1, "verifying", set_threads, (1,))
        self._closed = False
        self._under_way = 0
        self._usual_turn = sys.getswitchinterval()

    def directory(self, index: str) -> IndexDirectory:
        """Return the directory of an index.

        Raises:
            NotFound: This process does not serve the index from a directory.
        """
        if index not in self.directories:
            raise NotFound("expected an index that is served from its directory, got another name")
        return self.directories[index]

    async def facts(self, index: str, version: str) -> VersionFacts:
        """Read what identifies a version. Raises as `IndexDirectory.facts` does."""
        directory = self.directory(index)
        check_name("a version", version)
        return await asyncio.to_thread(directory.facts, version)

    async def open(self, facts: VersionFacts) -> ServedVersion:
        """Open a version. Raises as `IndexDirectory.open` does."""
        directory = self.directory(facts.index)
        return await self._run(self._opening, lambda: directory.open(facts.version, facts.manifest_digest))

    async def verify(self, facts: VersionFacts, progress: Progress) -> None:
        """Verify a version and release it. Raises as `IndexDirectory.verify` does."""
        directory = self.directory(facts.index)

        def verify() -> None:
            directory.verify(facts.version, facts.manifest_digest, self._until_closed(progress))

        await self._run(self._verifying, verify)

    def close(self) -> None:
        """Wait for the version that is being opened. A verification stops at its next file, without a result."""
        self._closed = True
        self._opening.shutdown(wait=True, cancel_futures=True)
        self._verifying.shutdown(wait=True, cancel_futures=True)

    def _until_closed(self, progress: Progress) -> Progress:
        def told(done: int, total: int) -> None:
            if self._closed:
                raise StoppedError
            progress(done, total)

        return told

    async def _run(self, threads: ThreadPoolExecutor, function: Callable[[], _T]) -> _T:
        with self._short_turns():
            return await asyncio.get_running_loop().run_in_executor(threads, function)

    @contextmanager
    def _short_turns(self) -> Iterator[None]:
        """Switch between Python's threads more often while a version is opened.

        Every operation of torch releases the interpreter's lock and then waits for it: up to 5 ms if another thread runs
        Python code meanwhile. A query is hundreds of operations.
        """
        self._under_way += 1
        sys.setswitchinterval(_TURN_SECONDS)
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                sys.setswitchinterval(self._usual_turn)


class StoppedError(Exception):
    """The service is shutting down."""
