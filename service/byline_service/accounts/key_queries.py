"""SQL of keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, func, insert, or_, select, update

from byline.api.accounts import Scope
from byline.errors import NotFound
from byline_service.accounts.scopes import Caller
from byline_service.database import Connection
from byline_service.database.tables.accounts import keys


@dataclass(frozen=True, kw_only=True)
class StoredKey:
    """A key as the database stores it."""

    id: str
    """Public part of the key."""
    name: str
    """Purpose of the key, in the operator's words."""
    person: str
    """Person who is responsible for the key."""
    digest: bytes = field(repr=False)
    """HMAC-SHA256 of the whole key, 32 bytes."""
    scopes: frozenset[Scope]
    """Scopes of the key."""
    owners: frozenset[str] | None
    """Owners whose rows the key sees. None for all."""
    requests_per_minute: int | None
    """Requests a minute. None for the service's quota."""
    queries_per_minute: int | None
    """Queries a minute. None for the service's quota."""
    replaces: str | None
    """The key that this one replaced."""
    made_by: str | None
    """Person who made the key. None for a key from before persons were recorded."""
    made_by_key: str | None
    """Key of that person. None for the command line."""
    created_at: datetime
    """Time of creation."""
    expires_at: datetime | None
    """Expiry. None for never."""
    revoked_at: datetime | None
    """Time of revocation."""
    last_used_at: datetime | None
    """Time of the last use, to a few seconds."""

    def active(self, now: datetime) -> bool:
        """Return whether the key is valid at a time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def caller(self) -> Caller:
        """Return the caller that the key stands for."""
        return Caller(key_id=self.id, person=self.person, scopes=self.scopes, owners=self.owners)


async def add(transaction: Connection, key: StoredKey) -> None:
    """Store a new key."""
    await transaction.execute(
        insert(keys).values(
            id=key.id,
            name=key.name,
            person=key.person,
            digest=key.digest,
            scopes=sorted(key.scopes),
            owners=None if key.owners is None else sorted(key.owners),
            requests_per_minute=key.requests_per_minute,
            queries_per_minute=key.queries_per_minute,
            replaces=key.replaces,
            made_by=key.made_by,
            made_by_key=key.made_by_key,
            created_at=key.created_at,
            expires_at=key.expires_at,
        )
    )


async def find(transaction: Connection, key_id: str) -> StoredKey | None:
    """Return a key by its id. None if there is none."""
    row = (await transaction.execute(select(keys).where(keys.c.id == key_id))).mappings().first()
    return None if row is None else _stored(row)


async def get_key(transaction: Connection, key_id: str) -> StoredKey:
    """Return a key by its id, and lock it until the end of the transaction.

    Raises:
        NotFound: No key has this id.
    """
    chosen = (
        select(keys).where(keys.c.id == key_id).with_for_update()
    )  # SQLite has one writer at a time and needs no lock
    row = (await transaction.execute(chosen)).mappings().first()
    if row is None:
        raise unknown_key()
    return _stored(row)


def unknown_key() -> NotFound:
    """Return the error of an id that no key has."""
    return NotFound("expected the id of an existing key, got another one: `byline keys list` shows the ids")


async def page(transaction: Connection, after: str | None, limit: int) -> list[StoredKey]:
    """Return keys in the order of their ids.

    Args:
        transaction: An open transaction.
        after: Only keys with larger ids.
        limit: Most keys to return.
    """
    chosen = select(keys).order_by(keys.c.id).limit(limit)
    if after is not None:
        chosen = chosen.where(keys.c.id > after)
    return [_stored(row) for row in (await transaction.execute(chosen)).mappings()]


async def any_active(transaction: Connection, now: datetime) -> bool:
    """Return whether any key is valid."""
    chosen = select(keys.c.id).where(keys.c.revoked_at.is_(None), _unexpired(now)).limit(1)
    return (await transaction.execute(chosen)).first() is not None


async def active_predecessor(transaction: Connection, key: StoredKey, now: datetime) -> str | None:
    """Return the key that this one replaced, if it is still valid."""
    if key.replaces is None:
        return None
    before = await find(transaction, key.replaces)
    return before.id if before is not None and before.active(now) else None


async def successor(transaction: Connection, key: StoredKey) -> str | None:
    """Return the key that replaced this one."""
    chosen = select(keys.c.id).where(keys.c.replaces == key.id).limit(1)
    found: str | None = (await transaction.execute(chosen)).scalar_one_or_none()
    return found


async def revoke(transaction: Connection, key_id: str, now: datetime) -> bool:
    """Revoke a key.

    Returns:
        Whether it was valid before.
    """
    ended = update(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None)).values(revoked_at=now)
    return (await transaction.execute(ended)).rowcount == 1


async def end_at(transaction: Connection, key_id: str, end: datetime) -> None:
    """Set the expiry of a key, unless it expires earlier."""
    await transaction.execute(
        update(keys)
        .where(keys.c.id == key_id, or_(keys.c.expires_at.is_(None), keys.c.expires_at > end))
        .values(expires_at=end)
    )


async def touch(transaction: Connection, used: Mapping[str, datetime]) -> None:
    """Store the times of the last use of keys."""
    for key_id, moment in sorted(used.items()):  # the same order in all replicas, so that none deadlocks
        later = or_(keys.c.last_used_at.is_(None), keys.c.last_used_at < moment)
        await transaction.execute(update(keys).where(keys.c.id == key_id, later).values(last_used_at=moment))


async def renew_digests(transaction: Connection, renewed: Mapping[str, tuple[bytes, bytes]]) -> None:
    """Replace stored digests by those under the current secret, unless another process has replaced them."""
    for key_id, (before, after) in sorted(renewed.items()):
        unchanged = (keys.c.id == key_id) & keys.c.digest.in_((before,))
        await transaction.execute(update(keys).where(unchanged).values(digest=after))


async def count(transaction: Connection) -> int:
    """Return the number of keys, including revoked and expired ones."""
    return int((await transaction.execute(select(func.count()).select_from(keys))).scalar_one())


def _unexpired(now: datetime) -> Any:
    return or_(keys.c.expires_at.is_(None), keys.c.expires_at > now)


def _stored(row: RowMapping) -> StoredKey:
    owners = row["owners"]
    return StoredKey(
        **{
            **row,
            "digest": bytes(row["digest"]),
            "scopes": frozenset(Scope(each) for each in row["scopes"]),
            "owners": None if owners is None else frozenset(owners),
        }
    )
