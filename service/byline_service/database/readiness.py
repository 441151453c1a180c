"""Whether the database is there, and what that means for a service that runs without it for a while."""

import time

import structlog

from byline.errors import BylineError, DatabaseUnavailable
from byline_service.database import migrate
from byline_service.database.engine import Database

log = structlog.get_logger("service")


class DatabaseReadiness:
    """Watches one database for one service.

    Args:
        database: Which.
        grace_seconds: How long the service stays ready while a database that was there does not answer: as long as
            keys are believed without it.
    """

    def __init__(self, database: Database, grace_seconds: float) -> None:
        self._database = database
        self._grace_seconds = grace_seconds
        self._seen: float | None = None

    async def prepare(self) -> None:
        """Migrate SQLite; look whether PostgreSQL was. Neither keeps the service from starting.

        It becomes ready as soon as the database is; until then `/readyz` says what is wrong.
        """
        try:
            if self._database.is_sqlite:
                await migrate.upgrade(self._database)
            await self.hold()
        except BylineError as error:
            log.error("database not ready", detail=str(error))

    async def hold(self) -> None:
        """Refuse to be ready without the database, unless it was there a short while ago.

        Raises:
            DatabaseUnavailable: It does not answer, or was not migrated.
        """
        try:
            await migrate.require_migrated(self._database)
        except DatabaseUnavailable:
            if self._seen is None or time.monotonic() - self._seen >= self._grace_seconds:
                raise
            return
        self._seen = time.monotonic()
