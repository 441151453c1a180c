"""From other threads into the event loop: what comes together wakes it once.

`call_soon_threadsafe` writes to a pipe each time, and gives up the interpreter's lock for it; the compute thread would
wait for the lock after every answer of a batch.
"""

import asyncio
from collections import deque
from collections.abc import Callable


class LoopCallbacks:
    """Calls functions in an event loop's thread, in the order in which they were posted.

    Args:
        loop: The event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._posted: deque[Callable[[], None]] = deque()
        self._woken = False

    def post(self, function: Callable[[], None]) -> None:
        """Have a function called soon; from any thread. Dropped where the loop has ended."""
        self._posted.append(function)
        if self._woken:
            return
        self._woken = True
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._arrive)

    def _arrive(self) -> None:
        # First, so that whoever posts after the last look below wakes the loop again.
        self._woken = False
        while self._posted:
            self._posted.popleft()()
