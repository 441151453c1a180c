"""Keys in the database."""

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
    """What the database knows of a key."""

    id: str
    """Its public part."""
    name: str
    """What it is for, in the operator's words."""
    person: str
    """Who answers for it."""
    digest: bytes = field(repr=False)
    """HMAC-SHA256 of the whole key, 32 bytes."""
    scopes: frozenset[Scope]
    """What it allows."""
    owners: frozenset[str] | None
    """Whose rows it sees; None: everybody's."""
    requests_per_minute: int | None
    """Its own quota; None: the service's."""
    queries_per_minute: int | None
    """Its own quota; None: the service's."""
    replaces: str | None
    """The key that it was rotated from."""
    created_at: datetime
    """When it was made."""
    expires_at: datetime | None
    """When it ends by itself; None: never."""
    revoked_at: datetime | None
    """When it was ended."""
    last_used_at: datetime | None
    """When it was last used, to a few seconds."""

    def active(self, now: datetime) -> bool:
        """Whether it is valid at a moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def caller(self) -> Caller:
        """Who asks with it."""
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
            created_at=key.created_at,
            expires_at=key.expires_at,
        )
    )


async def find(transaction: Connection, key_id: str) -> StoredKey | None:
    """Find a key by its id."""
    row = (await transaction.execute(select(keys).where(keys.c.id == key_id))).mappings().first()
    return None if row is None else _stored(row)


async def find_or_refuse(transaction: Connection, key_id: str) -> StoredKey:
    """Find a key by its id, and let no other transaction change it before this one's end.

    Raises:
        NotFound: There is none.
    """
    chosen = (
        select(keys).where(keys.c.id == key_id).with_for_update()
    )  # SQLite has one writer at a time anyway
    row = (await transaction.execute(chosen)).mappings().first()
    if row is None:
        raise NotFound("expected the id of a key, got another one")
    return _stored(row)


async def page(transaction: Connection, after: str | None, limit: int) -> list[StoredKey]:
    """Read keys by id.

    Args:
        transaction: An open transaction.
        after: Only ids beyond this one.
        limit: How many at most.
    """
    chosen = select(keys).order_by(keys.c.id).limit(limit)
    if after is not None:
        chosen = chosen.where(keys.c.id > after)
    return [_stored(row) for row in (await transaction.execute(chosen)).mappings()]


async def any_active(transaction: Connection, now: datetime) -> bool:
    """Whether anybody could sign in."""
    chosen = select(keys.c.id).where(keys.c.revoked_at.is_(None), _unexpired(now)).limit(1)
    return (await transaction.execute(chosen)).first() is not None


async def active_predecessor(transaction: Connection, key: StoredKey, now: datetime) -> str | None:
    """The key that this one was rotated from, where it is valid still."""
    if key.replaces is None:
        return None
    before = await find(transaction, key.replaces)
    return before.id if before is not None and before.active(now) else None


async def successor(transaction: Connection, key: StoredKey) -> str | None:
    """The key that this one was rotated to."""
    chosen = select(keys.c.id).where(keys.c.replaces == key.id).limit(1)
    found: str | None = (await transaction.execute(chosen)).scalar_one_or_none()
    return found


async def revoke(transaction: Connection, key_id: str, now: datetime) -> bool:
    """End a key.

    Returns:
        Whether it was not ended before.
    """
    ended = update(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None)).values(revoked_at=now)
    return (await transaction.execute(ended)).rowcount == 1


async def end_at(transaction: Connection, key_id: str, end: datetime) -> None:
    """Have a key end at a moment, unless it ends before."""
    await transaction.execute(
        update(keys)
        .where(keys.c.id == key_id, or_(keys.c.expires_at.is_(None), keys.c.expires_at > end))
        .values(expires_at=end)
    )


async def touch(transaction: Connection, used: Mapping[str, datetime]) -> None:
    """Remember when keys were last used."""
    for key_id, moment in sorted(used.items()):  # one order in all replicas: no deadlock
        later = or_(keys.c.last_used_at.is_(None), keys.c.last_used_at < moment)
        await transaction.execute(update(keys).where(keys.c.id == key_id, later).values(last_used_at=moment))


async def count(transaction: Connection) -> int:
    """How many keys there are, ended ones too."""
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
