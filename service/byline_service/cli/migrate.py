"""`byline migrate`: migration of the database."""

import asyncio
from typing import TYPE_CHECKING

import typer

from byline_service.cli.common import read_settings

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from byline_service.settings import Settings


def migrate() -> None:
    """Migrate the database to this release. Run it before the service, once for all replicas.

    The database is BYLINE_DATABASE_URL, or SQLite in BYLINE_DATA_DIR, which `byline serve` migrates by itself. With
    BYLINE_MIGRATION_DATABASE_URL, PostgreSQL is migrated as that role, and the role of BYLINE_DATABASE_URL gets the
    rights that the service needs.

    Example: `byline migrate`
    """
    from byline_service.accounts.secret import open_database
    from byline_service.database import Database, migrate

    settings = read_settings()
    roles = _two_roles(settings)

    async def run() -> tuple[str | None, str | None]:
        database = open_database(settings) if roles is None else Database(roles[0])
        try:
            before = await migrate.current(database)
            await migrate.upgrade(database, runtime=None if roles is None else roles[1])
            return before, await migrate.current(database)
        finally:
            await database.dispose()

    before, after = asyncio.run(run())
    changed = "nothing to do" if before == after else f"from {before or 'an empty database'}"
    typer.echo(f"The database is at revision {after} ({changed}).")
    if roles is not None:
        typer.echo(f"The role {roles[1].username} has the rights of the service.")


def _two_roles(settings: "Settings") -> "tuple[str, URL] | None":
    """Return the migrator's URL and the service's. None if one role does both."""
    from byline.errors import InvalidInput
    from byline_service.database.engine import database_url
    from byline_service.database.grants import require_two_roles

    if settings.migration_database_url is None:
        return None
    if settings.database_url is None:
        raise InvalidInput("expected BYLINE_DATABASE_URL, which names the service's role, got none")
    migrator = settings.migration_database_url.get_secret_value()
    runtime = database_url(settings.database_url.get_secret_value())
    require_two_roles(database_url(migrator), runtime)
    return migrator, runtime
