"""Verification of the ledger beside the work of a service, one at a time."""

import asyncio
import time

from byline.errors import Overloaded
from byline_service.database import Database
from byline_service.ledger.verify import Verification, verify

KEPT_SECONDS = 120.0
"""Seconds for which a result is kept for callers who were told to ask again."""


class Verifier:
    """Verifies a ledger on request. A request during a verification gets its result.

    Args:
        database: The database of the ledger.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._running: asyncio.Future[Verification] | None = None
        self._late = False
        self._ended = 0.0

    async def verify(self, patience: float) -> Verification:
        """Verify the ledger, or wait for the verification that runs.

        Args:
            patience: Seconds to wait for the result.

        Returns:
            The result. A request after `Overloaded` gets the result of the verification that was waited for.

        Raises:
            Overloaded: The verification takes longer than `patience`.
            DatabaseUnavailable: The database does not answer.
        """
        if self._running is None or (self._running.done() and not self._awaited()):
            self._running = asyncio.ensure_future(verify(self._database))
            self._running.add_done_callback(self._note_end)
        try:
            found = await asyncio.wait_for(asyncio.shield(self._running), patience)
        except TimeoutError:
            self._late = True
            raise Overloaded("the ledger is still being verified: ask again for the result") from None
        self._late = False
        return found

    def _awaited(self) -> bool:
        """Return whether a caller was told to ask again for the present result."""
        return self._late and time.monotonic() - self._ended < KEPT_SECONDS

    def _note_end(self, ended: "asyncio.Future[Verification]") -> None:
        self._ended = time.monotonic()
        if not ended.cancelled() and ended.exception() is not None:
            self._late = False  # the next request starts another verification
