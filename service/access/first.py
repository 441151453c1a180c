"""The first key: a service without configuration makes one, for this machine; others refuse to start without."""

import asyncio
from datetime import UTC, datetime

import structlog

from byline.errors import DatabaseUnavailable, InvalidInput
from service.access import managing
from service.access.keys import ApiKey
from service.access.scopes import Scope
from service.access.secret import open_database, read_secret
from service.database import Database, migrating
from service.repositories import keys
from service.repositories.audit import OPERATOR
from service.settings import LOOPBACK, Settings

log = structlog.get_logger("service")
FIRST = managing.Wanted(name="first", person=OPERATOR.person, scopes=frozenset({Scope.ADMIN}))


def first_key(settings: Settings) -> ApiKey | None:
    """Make a key if nobody could sign in, and only this machine is answered.

    Args:
        settings: How the service runs.

    Returns:
        The key in the clear; None where there is a valid key, or the database does not answer (nobody unknown
        gets in then).

    Raises:
        InvalidInput: Others are answered, and there is no key, or no name to answer to.
    """
    if settings.host not in LOOPBACK and set(settings.allowed_hosts) <= set(LOOPBACK):
        raise InvalidInput(
            f"expected BYLINE_ALLOWED_HOSTS, the names that {settings.host} is reached under: a browser can be "
            "tricked into sending requests under others"
        )
    return asyncio.run(_first(settings))


async def _first(settings: Settings) -> ApiKey | None:
    database = open_database(settings)
    try:
        return await _made(database, settings)
    except DatabaseUnavailable as error:
        log.warning("database not ready", detail=str(error))
        return None
    finally:
        await database.dispose()


async def _made(database: Database, settings: Settings) -> ApiKey | None:
    secret = read_secret(settings, is_sqlite=database.is_sqlite)
    if database.is_sqlite:
        await migrating.upgrade(database)
    else:
        await migrating.hold_migrated(database)
    async with database.begin() as transaction:
        if await keys.any_active(transaction, datetime.now(UTC)):
            return None
        if settings.loopback_only:
            return await managing.create(transaction, OPERATOR, FIRST, secret)
    raise InvalidInput(
        f"expected a key in the database, since {settings.host} is not this machine alone: make one with "
        "`byline keys create NAME --person PERSON --scope admin`"
    )
