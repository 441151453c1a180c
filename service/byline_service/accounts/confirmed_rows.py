"""A cache of rows, so that known ones are used while the database is unavailable.

A row is trusted for `fresh_seconds` without a query, and for `grace_seconds` while the database does not answer.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

from byline.errors import DatabaseUnavailable

REMEMBERED = 10_000
"""Most rows in a cache."""
RowT = TypeVar("RowT")


@dataclass(frozen=True)
class _Confirmed(Generic[RowT]):
    row: RowT
    found: float
    """Time at which the database last returned the row."""
    asked: float
    """Time of the last query. While the database does not answer, a query with each request would take too long."""


class ConfirmedRows(Generic[RowT]):
    """Caches the rows that a query returns by id. Missing rows are not cached.

    Args:
        query: Returns a row by its id. None if there is none.
        fresh_seconds: Seconds for which a row is trusted without a query.
        grace_seconds: Seconds for which a row is trusted while the database does not answer.
    """

    def __init__(
        self, query: Callable[[str], Awaitable[RowT | None]], fresh_seconds: float, grace_seconds: float
    ) -> None:
        self._query = query
        self._fresh_seconds = fresh_seconds
        self._grace_seconds = grace_seconds
        self._remembered: OrderedDict[str, _Confirmed[RowT]] = OrderedDict()
        self.asking: dict[str, asyncio.Future[RowT | None]] = {}
        """Queries that run."""

    async def find(self, row_id: str) -> RowT | None:
        """Return a row by its id. None if there is none.

        Raises:
            DatabaseUnavailable: The row is not cached, and the database does not answer.
        """
        known = self._remembered.get(row_id)
        now = time.monotonic()
        if known is not None and now - known.asked < self._fresh_seconds:
            return known.row
        asking = self.asking.get(row_id)
        if asking is None:
            # One query for all requests: when a cached row expires, every client that uses it arrives at once.
            asking = self.asking[row_id] = asyncio.ensure_future(self._ask(row_id, known, now))
            asking.add_done_callback(partial(self._asked, row_id))
        return await asyncio.shield(asking)

    def forget(self, row_id: str) -> None:
        """Drop a changed row from the cache."""
        self._remembered.pop(row_id, None)

    def _asked(self, row_id: str, asking: "asyncio.Future[RowT | None]") -> None:
        self.asking.pop(row_id, None)
        if not asking.cancelled():
            asking.exception()  # marks it as retrieved: the waiting request may have been cancelled

    async def _ask(self, row_id: str, known: _Confirmed[RowT] | None, now: float) -> RowT | None:
        try:
            found = await self._query(row_id)
        except DatabaseUnavailable:
            if known is None or now - known.found >= self._grace_seconds:
                raise
            self._remembered[row_id] = replace(known, asked=time.monotonic())
            return known.row
        if found is not None:
            self._remember(row_id, found, now)
        return found

    def _remember(self, row_id: str, row: RowT, now: float) -> None:
        self._remembered[row_id] = _Confirmed(row, now, now)
        self._remembered.move_to_end(row_id)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
