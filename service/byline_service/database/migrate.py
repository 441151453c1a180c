"""Migrations by Alembic, called in process: no `alembic.ini` and no second configuration."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.engine import URL

from byline.errors import DatabaseUnavailable, InvalidInput
from byline_service.database.engine import Database
from byline_service.database.grants import grant


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


@cache
def head() -> str:
    """Return the newest revision of this release."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    assert newest is not None
    return newest


def revisions() -> list[str]:
    """Return all revisions, the oldest first."""
    scripts = ScriptDirectory.from_config(_config())
    return [script.revision for script in reversed(list(scripts.walk_revisions()))]


async def current(database: Database) -> str | None:
    """Return the revision of a database. None if it was never migrated."""
    async with database.read() as connection:
        return await connection.run_sync(_current)


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def require_migrated(database: Database) -> None:
    """Require a database at the newest revision.

    Raises:
        DatabaseUnavailable: The database has another revision, or does not answer.
    """
    found = await current(database)
    if found == head():
        return
    if not _known(found):
        raise DatabaseUnavailable(_newer(found))
    raise DatabaseUnavailable(
        f"expected the database at revision {head()}, got {found or 'an empty one'}: run `byline migrate`"
    )


def _known(revision: str | None) -> bool:
    return revision is None or revision in revisions()


def _newer(found: str | None) -> str:
    return (
        f"expected the database at revision {head()} or before, got {found}, which this release does not know: a "
        "newer one migrated it, install that release"
    )


async def upgrade(database: Database, revision: str = "head", runtime: URL | None = None) -> None:
    """Upgrade a database in one transaction. One process at a time does so.

    Args:
        database: The database.
        revision: The target. The newest revision by default.
        runtime: URL of the service, whose role gets its rights. None leaves all rights as they are.

    Raises:
        InvalidInput: A newer release migrated the database. Nothing was changed.
        DatabaseUnavailable: The database does not answer.
        DiskFull: The disk is full. Nothing was changed.
    """
    await _migrate(database, command.upgrade, revision, runtime)


async def downgrade(database: Database, revision: str) -> None:
    """Downgrade a database to an older revision in one transaction. `base` empties it."""
    await _migrate(database, command.downgrade, revision)


async def _migrate(
    database: Database, run: Callable[[Config, str], None], revision: str, runtime: URL | None = None
) -> None:
    def migrate(connection: Connection) -> None:
        found = _current(connection)
        if not _known(found):
            raise InvalidInput(_newer(found))
        config = _config()
        config.attributes["connection"] = connection
        run(config, revision)
        if runtime is not None:
            grant(connection, runtime)

    async with database.migration() as connection:
        await connection.run_sync(migrate)
