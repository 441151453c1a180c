"""The first key: the service creates one if only this machine can connect, and refuses to start without one otherwise."""

from datetime import UTC, datetime

from byline.api.accounts import Scope
from byline.errors import InvalidInput
from byline_service.accounts import key_management, key_queries
from byline_service.accounts.audit import OPERATOR
from byline_service.accounts.keys import ApiKey
from byline_service.accounts.secret import read_secrets
from byline_service.database import Database
from byline_service.settings import LOOPBACK, Settings

FIRST = key_management.NewKey(name="first", person=OPERATOR.person, scopes=frozenset({Scope.ADMIN}))


def require_names(settings: Settings) -> None:
    """Require allowed hosts if the service listens beyond loopback.

    Raises:
        InvalidInput: The settings name none.
    """
    if settings.host not in LOOPBACK and set(settings.allowed_hosts) <= set(LOOPBACK):
        raise InvalidInput(
            f"expected BYLINE_ALLOWED_HOSTS, the names that {settings.host} is reached under: a browser can be "
            "tricked into sending requests under others"
        )


async def require_any_key(database: Database, settings: Settings) -> None:
    """Require a valid key if the service listens beyond loopback.

    Raises:
        InvalidInput: The database has no valid key.
    """
    async with database.read() as reading:
        if settings.loopback_only or await key_queries.any_active(reading, datetime.now(UTC)):
            return
    raise InvalidInput(
        f"expected a key in the database, since {settings.host} is not this machine alone: make one with "
        "`byline keys create NAME --person PERSON --scope admin`"
    )


async def first_key(database: Database, settings: Settings) -> ApiKey | None:
    """Create a key if there is no valid one. Call it last, so that nothing can keep the key from being shown.

    Returns:
        The key in the clear. None if there is a valid key.
    """
    secret = read_secrets(settings, is_sqlite=database.is_sqlite).current
    async with database.begin() as transaction:
        if await key_queries.any_active(transaction, datetime.now(UTC)):
            return None
        return await key_management.create(transaction, OPERATOR, FIRST, secret)
