"""Making, rotating and revoking keys: what the command line and the API share. Each is a line of the audit log."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from byline.api.accounts import Scope
from byline.errors import Conflict, InvalidInput
from byline_service.accounts import audit, key_queries
from byline_service.accounts.key_queries import StoredKey
from byline_service.accounts.keys import ApiKey, digest_key, new_key
from byline_service.accounts.scopes import Caller
from byline_service.database import Connection

LAST_YEAR = 9000
"""Keys end before it: whatever zone their end is written and read in, it stays a date."""
MOST_OWNERS = 1000
"""Owners that one key may see, unless it sees everybody's."""


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A key to be made."""

    name: str
    """What it is for."""
    person: str
    """Who answers for it."""
    scopes: frozenset[Scope]
    """What it allows."""
    owners: frozenset[str] | None = None
    """Whose rows it sees; None: everybody's. Such a key has the scope `read` alone."""
    expires_at: datetime | None = None
    """When it ends by itself."""
    requests_per_minute: int | None = None
    """Its own quota; None: the service's."""
    queries_per_minute: int | None = None
    """Its own quota; None: the service's."""

    def __post_init__(self) -> None:
        if not self.scopes:
            raise InvalidInput(f"expected at least one of the scopes {', '.join(Scope)}, got none")
        if self.owners is not None and self.scopes != {Scope.READ}:
            raise InvalidInput("expected the scope read alone for a key that sees some owners only")
        if self.owners is not None and not 0 < len(self.owners) <= MOST_OWNERS:
            raise InvalidInput(f"expected 1 to {MOST_OWNERS} owners, got {len(self.owners)}")
        for quota in (self.requests_per_minute, self.queries_per_minute):
            if quota is not None and not 0 < quota < 1 << 31:
                raise InvalidInput("expected quotas of at least 1 a minute, got another number")
        if self.expires_at is not None and not 2000 <= self.expires_at.year < LAST_YEAR:
            raise InvalidInput(
                f"expected expires_at to be from 2000 to before {LAST_YEAR}, got another year: leave it out for a "
                "key that does not end by itself"
            )
        for name, text in (("name", self.name), ("person", self.person)):
            if not (len(text.strip()) > 0 and len(text) <= 100 and text.isprintable()):
                raise InvalidInput(f"expected {name} to be 1 to 100 printable characters, got {len(text)}")


async def create(transaction: Connection, caller: Caller, wanted: NewKey, secret: bytes) -> ApiKey:
    """Make a key.

    Args:
        transaction: The open transaction.
        caller: Who makes it.
        wanted: What it is to be.
        secret: The service's.

    Returns:
        The key in the clear: show it once.
    """
    made = new_key()
    await key_queries.add(transaction, _stored(made, wanted, secret, replaces=None))
    await audit.record(transaction, caller, "keys.create", made.id, _described(wanted))
    return made


async def revoke(transaction: Connection, caller: Caller, key_id: str) -> None:
    """End a key at once; ending it twice is no mistake.

    Raises:
        NotFound: There is no such key.
    """
    await key_queries.find_or_refuse(transaction, key_id)
    if await key_queries.revoke(transaction, key_id, datetime.now(UTC)):
        await audit.record(transaction, caller, "keys.revoke", key_id)


async def rotate(
    transaction: Connection, caller: Caller, key_id: str, secret: bytes, overlap: timedelta
) -> ApiKey:
    """Make a key that takes another one's place; both are valid for a while.

    A key that ends by itself is replaced by one that lives as long, counted from now.

    Args:
        transaction: The open transaction.
        caller: Who rotates.
        key_id: The key that is replaced.
        secret: The service's.
        overlap: How long it goes on being valid.

    Returns:
        The new key in the clear: show it once.

    Raises:
        NotFound: There is no such key.
        Conflict: It is not valid any more, or was rotated before, or the one that it replaced is valid still.
        InvalidInput: The overlap is none that a calendar has.
    """
    now = datetime.now(UTC)
    old = await key_queries.find_or_refuse(transaction, key_id)
    if not old.active(now):
        raise Conflict(
            "expected a key that is still valid, got one that is revoked or expired: create a new one"
        )
    before = await key_queries.active_predecessor(transaction, old, now)
    if before is not None:
        raise Conflict(f"the key {before}, which this one replaced, is still valid: revoke it first")
    after = await key_queries.successor(transaction, old)
    if after is not None:
        raise Conflict(f"the key {after} replaces this one already: rotate that, or create a new one")
    wanted = NewKey(
        name=old.name,
        person=old.person,
        scopes=old.scopes,
        owners=old.owners,
        expires_at=None if old.expires_at is None else now + (old.expires_at - old.created_at),
        requests_per_minute=old.requests_per_minute,
        queries_per_minute=old.queries_per_minute,
    )
    made = new_key()
    await key_queries.add(transaction, _stored(made, wanted, secret, replaces=old.id))
    await key_queries.end_at(transaction, old.id, now + overlap)
    await audit.record(transaction, caller, "keys.rotate", old.id, {"new": made.id})
    return made


def _stored(made: ApiKey, wanted: NewKey, secret: bytes, replaces: str | None) -> StoredKey:
    return StoredKey(
        id=made.id,
        digest=digest_key(made, secret),
        replaces=replaces,
        created_at=datetime.now(UTC),
        revoked_at=None,
        last_used_at=None,
        **vars(wanted),
    )


def _described(wanted: NewKey) -> dict[str, object]:
    return {
        "name": wanted.name,
        "person": wanted.person,
        "scopes": sorted(wanted.scopes),
        "owners": None if wanted.owners is None else sorted(wanted.owners),
        "expires_at": None if wanted.expires_at is None else wanted.expires_at.isoformat(),
    }
