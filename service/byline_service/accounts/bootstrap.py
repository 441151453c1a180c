"""The first key: a service without configuration makes one, for this machine; others refuse to start without."""

from datetime import UTC, datetime

from byline.api.accounts import Scope
from byline.errors import InvalidInput
from byline_service.accounts import key_management, key_queries
from byline_service.accounts.audit import OPERATOR
from byline_service.accounts.keys import ApiKey
from byline_service.accounts.secret import read_secret
from byline_service.database import Database
from byline_service.settings import LOOPBACK, Settings

FIRST = key_management.NewKey(name="first", person=OPERATOR.person, scopes=frozenset({Scope.ADMIN}))


def require_names(settings: Settings) -> None:
    """Refuse to listen to others under no name of their own.

    Raises:
        InvalidInput: There is none.
    """
    if settings.host not in LOOPBACK and set(settings.allowed_hosts) <= set(LOOPBACK):
        raise InvalidInput(
            f"expected BYLINE_ALLOWED_HOSTS, the names that {settings.host} is reached under: a browser can be "
            "tricked into sending requests under others"
        )


async def require_any_key(database: Database, settings: Settings) -> None:
    """Refuse to answer others than this machine where nobody could sign in.

    Raises:
        InvalidInput: There is no valid key.
    """
    async with database.read() as reading:
        if settings.loopback_only or await key_queries.any_active(reading, datetime.now(UTC)):
            return
    raise InvalidInput(
        f"expected a key in the database, since {settings.host} is not this machine alone: make one with "
        "`byline keys create NAME --person PERSON --scope admin`"
    )


async def first_key(database: Database, settings: Settings) -> ApiKey | None:
    """Make a key where nobody could sign in: call it when nothing is left that may keep the key from being shown.

    Returns:
        The key in the clear; None where there is a valid key.
    """
    secret = read_secret(settings, is_sqlite=database.is_sqlite)
    async with database.begin() as transaction:
        if await key_queries.any_active(transaction, datetime.now(UTC)):
            return None
        return await key_management.create(transaction, OPERATOR, FIRST, secret)
