"""`byline migrate`: migration of the database."""

import asyncio

import typer

from byline_service.cli.common import read_settings


def migrate() -> None:
    """Migrate the database to this release. Run it before the service, once for all replicas.

    The database is BYLINE_DATABASE_URL, or SQLite in BYLINE_DATA_DIR, which `byline serve` migrates by itself.

    Example: `byline migrate`
    """
    from byline_service.accounts.secret import open_database
    from byline_service.database import migrate

    async def run() -> tuple[str | None, str | None]:
        database = open_database(read_settings())
        try:
            before = await migrate.current(database)
            await migrate.upgrade(database)
            return before, await migrate.current(database)
        finally:
            await database.dispose()

    before, after = asyncio.run(run())
    changed = "nothing to do" if before == after else f"from {before or 'an empty database'}"
    typer.echo(f"The database is at revision {after} ({changed}).")
