"""Shared parts of the commands: settings and database."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from byline_service.database import Database
    from byline_service.settings import Settings

Result = TypeVar("Result")


def read_settings(**given: object) -> "Settings":
    """Read the settings.

    Args:
        given: Options of the command line, which override the environment. None leaves the setting unchanged.

    Raises:
        InvalidInput: A setting is not valid.
    """
    from pydantic import ValidationError

    from byline.api.validation import describe_errors
    from byline.errors import InvalidInput
    from byline_service.settings import Settings, require_known_variables

    require_known_variables()
    try:
        settings = Settings()
        chosen = {name: value for name, value in given.items() if value is not None}
        return Settings.model_validate(settings.model_dump() | chosen) if chosen else settings
    except ValidationError as error:
        raise InvalidInput(f"settings: {describe_errors(error, Settings)}") from None


def with_database(
    settings: "Settings", work: "Callable[[Database], Awaitable[Result]]", *, existing: bool = False
) -> Result:
    """Run a function on the database. SQLite is made and migrated first, PostgreSQL must be migrated.

    Args:
        settings: The settings of the database.
        work: The function.
        existing: The database must exist and be migrated already, SQLite too.

    Raises:
        InvalidInput: There is no database.
        DatabaseUnavailable: The database does not answer, or has another revision.
    """
    from byline_service.accounts.secret import open_database, require_database
    from byline_service.database import migrate

    if existing:
        require_database(settings)

    async def run() -> Result:
        database = open_database(settings)
        try:
            if database.is_sqlite and not existing:
                await migrate.upgrade(database)
            else:
                await migrate.require_migrated(database)
            return await work(database)
        finally:
            await database.dispose()

    return asyncio.run(run())
