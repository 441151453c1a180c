"""Readiness of the database, also for a service that runs without it for a while."""

import time

import structlog

from byline.errors import BylineError, DatabaseUnavailable
from byline_service.database import migrate
from byline_service.database.engine import Database

log = structlog.get_logger("service")


class DatabaseReadiness:
    """Checks the database of a service.

    Args:
        database: The database.
        grace_seconds: Seconds for which the service stays ready while the database does not answer: as long as cached keys
            are trusted.
    """

    def __init__(self, database: Database, grace_seconds: float) -> None:
        self._database = database
        self._grace_seconds = grace_seconds
        self._seen: float | None = None

    async def prepare(self) -> None:
        """Migrate SQLite, or check the revision of PostgreSQL. A failure does not stop the start.

        The service becomes ready as soon as the database is; until then `/readyz` names the reason.
        """
        try:
            if self._database.is_sqlite:
                await migrate.upgrade(self._database)
            await self.require()
        except BylineError as error:
            log.error("database not ready", detail=str(error))

    async def require(self) -> None:
        """Require the database, unless it answered a short while ago.

        Raises:
            DatabaseUnavailable: The database does not answer, or is not migrated.
        """
        try:
            await migrate.require_migrated(self._database)
        except DatabaseUnavailable:
            if self._seen is None or time.monotonic() - self._seen >= self._grace_seconds:
                raise
            return
        self._seen = time.monotonic()
