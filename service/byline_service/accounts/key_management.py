"""Creation, rotation and revocation of keys, for the command line and the API. Each writes a line of the audit log."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from byline.api.accounts import Scope
from byline.errors import Conflict, InvalidInput
from byline.names.owner_labels import owner_label
from byline_service.accounts import audit, key_queries, persons
from byline_service.accounts.key_queries import StoredKey
from byline_service.accounts.keys import ApiKey, digest_key, new_key
from byline_service.accounts.scopes import Caller
from byline_service.database import Connection
from byline_service.person_names import person_name

LAST_YEAR = 9000
"""Limit on expiry dates: a date before this year is valid in every time zone."""
MOST_OWNERS = 1000
"""Most owners that one key may see."""


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """The properties of a key that is to be created."""

    name: str
    """Purpose of the key."""
    person: str
    """Person who is responsible for the key."""
    scopes: frozenset[Scope]
    """Scopes of the key."""
    owners: frozenset[str] | None = None
    """Owners whose rows the key sees. None for all. A key with owners has the scope `read` alone."""
    expires_at: datetime | None = None
    """Expiry of the key. None for never."""
    requests_per_minute: int | None = None
    """Requests a minute. None for the service's quota."""
    queries_per_minute: int | None = None
    """Queries a minute. None for the service's quota."""

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
                f"expected expires_at from 2000 to before {LAST_YEAR}, got another year: leave it out for a "
                "key without expiry"
            )
        if not (len(self.name.strip()) > 0 and len(self.name) <= 100 and self.name.isprintable()):
            raise InvalidInput(f"expected name to be 1 to 100 printable characters, got {len(self.name)}")
        object.__setattr__(self, "person", person_name(self.person))
        if self.owners is not None:
            labels = frozenset(filter(None, map(owner_label, self.owners)))
            if not labels:
                raise InvalidInput("expected labels of owners, got spaces alone")
            object.__setattr__(self, "owners", labels)


async def create(transaction: Connection, caller: Caller, wanted: NewKey, secret: bytes) -> ApiKey:
    """Create a key. Its person is recorded with the first one.

    Args:
        transaction: The open transaction.
        caller: The caller.
        wanted: The properties of the key.
        secret: The service's secret.

    Returns:
        The key in the clear: show it once and do not store it.

    Raises:
        InvalidInput: The person's name can be mistaken for another person's.
    """
    made = new_key()
    await persons.require_person(transaction, caller, wanted.person)
    await key_queries.add(transaction, _stored(made, wanted, secret, caller, replaces=None))
    await audit.record(transaction, caller, "keys.create", made.id, _described(wanted))
    return made


async def revoke(transaction: Connection, caller: Caller, key_id: str) -> None:
    """Revoke a key at once. A second revocation has no effect.

    Raises:
        NotFound: No key has this id.
    """
    await key_queries.get_key(transaction, key_id)
    if await key_queries.revoke(transaction, key_id, datetime.now(UTC)):
        await audit.record(transaction, caller, "keys.revoke", key_id)


async def rotate(
    transaction: Connection, caller: Caller, key_id: str, secret: bytes, overlap: timedelta
) -> ApiKey:
    """Create a key that replaces another one. Both are valid for a while.

    The replacement of a key with an expiry has the same lifetime, counted from now.

    Args:
        transaction: The open transaction.
        caller: The caller.
        key_id: The key to replace.
        secret: The service's secret.
        overlap: Time for which the old key stays valid.

    Returns:
        The new key in the clear: show it once and do not store it.

    Raises:
        NotFound: No key has this id.
        Conflict: The key is revoked or expired, was rotated before, or the key that it replaced is still valid.
        InvalidInput: The overlap is too long for a calendar date.
    """
    now = datetime.now(UTC)
    old = await key_queries.get_key(transaction, key_id)
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
    await key_queries.add(transaction, _stored(made, wanted, secret, caller, replaces=old.id))
    await key_queries.end_at(transaction, old.id, now + overlap)
    await audit.record(transaction, caller, "keys.rotate", old.id, {"new": made.id})
    return made


def _stored(made: ApiKey, wanted: NewKey, secret: bytes, maker: Caller, replaces: str | None) -> StoredKey:
    return StoredKey(
        id=made.id,
        digest=digest_key(made, secret),
        replaces=replaces,
        made_by=maker.person,
        made_by_key=maker.key_id or None,
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
