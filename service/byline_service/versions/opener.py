"""Opens versions beside the event loop and the compute thread, one at a time."""

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

    There are two threads: one opens what is to be served, so that no more than one version more than needed is in
    memory; the other verifies, which may take minutes and must not hold up a switch. Neither is the compute thread:
    requests are answered meanwhile.

    Args:
        directories: The indexes that this process serves, by name.
    """

    def __init__(self, directories: Mapping[str, IndexDirectory]) -> None:
        self.directories = directories
        # A search in one thread each: FAISS's setting is the calling thread's own, and the compute thread's stays.
        self._opening = ThreadPoolExecutor(1, "opening", set_threads, (1,))
        self._verifying = ThreadPoolExecutor(1, "verifying", set_threads, (1,))
        self._closed = False
        self._under_way = 0
        self._usual_turn = sys.getswitchinterval()

    def directory(self, index: str) -> IndexDirectory:
        """Find an index's directory.

        Raises:
            NotFound: The index is not one that this process serves from its directory.
        """
        if index not in self.directories:
            raise NotFound("expected an index that is served from its directory, got another name")
        return self.directories[index]

    async def facts(self, index: str, version: str) -> VersionFacts:
        """What identifies a version; raises as `IndexDirectory.facts` does."""
        directory = self.directory(index)
        check_name("a version", version)
        return await asyncio.to_thread(directory.facts, version)

    async def open(self, facts: VersionFacts) -> ServedVersion:
        """Open a version; raises as `IndexDirectory.open` does."""
        directory = self.directory(facts.index)
        return await self._run(self._opening, lambda: directory.open(facts.version, facts.manifest_digest))

    async def verify(self, facts: VersionFacts, progress: Progress) -> None:
        """Verify a version and forget it again; raises as `IndexDirectory.verify` does."""
        directory = self.directory(facts.index)

        def verify() -> None:
            directory.verify(facts.version, facts.manifest_digest, self._until_closed(progress))

        await self._run(self._verifying, verify)

    def close(self) -> None:
        """Wait for what is being opened; a check under way ends at its next file, without a result."""
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
        """Have Python's threads take short turns while a version is opened.

        Every operation of torch gives the interpreter's lock away and waits for it afterwards: a whole turn of 5 ms,
        where another thread runs Python code meanwhile. A query is hundreds of operations.
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
