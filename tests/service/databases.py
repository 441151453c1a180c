"""Migrated databases for tests, on SQLite and on PostgreSQL, and one event loop to use each in."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from byline_service.database import Database

Result = TypeVar("Result")


class UsedDatabase:
    """A database, and the loop that its connections belong to.

    Args:
        url: Where it is.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.database = Database(url)
        self._runner = asyncio.Runner()

    @property
    def kind(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.database.url.get_backend_name()

    def run(self, work: Callable[[Database], Awaitable[Result]]) -> Result:
        """Do a piece of work on it: `used.run(lambda database: migrating.current(database))`."""

        async def working() -> Result:
            return await work(self.database)

        return self._runner.run(working())

    def booked(self, work: Callable[..., Awaitable[Result]], *arguments: object) -> Result:
        """Do a piece of work in one transaction: `used.booked(audit.record, caller, "x", "y")`."""

        async def within(database: Database) -> Result:
            async with database.begin() as transaction:
                return await work(transaction, *arguments)

        return self.run(within)

    def close(self) -> None:
        """Close its connections and the loop."""
        self._runner.run(self.database.dispose())
        self._runner.close()
