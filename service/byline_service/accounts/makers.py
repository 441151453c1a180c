"""Makers of a key: all persons who could know it, or who could have made its person up.

    makers(key) = person(k) for every k that is reached from the key by `made_by_key` of keys and of their persons

Keys that the command line made have no maker: whoever can run it can write to the database, too.
"""

from sqlalchemy import select

from byline_service.accounts.scopes import Caller
from byline_service.database import Connection
from byline_service.database.tables.accounts import keys, persons


async def makers_of(transaction: Connection, caller: Caller) -> tuple[str, ...]:
    """Return the persons who made a caller's key or person, and those who made theirs.

    Args:
        transaction: An open transaction.
        caller: The caller.

    Returns:
        Names, sorted.
    """
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [caller.key_id]
    while waiting:
        key_id = waiting.pop()
        if key_id in seen:
            continue
        seen.add(key_id)
        above = await _above(transaction, key_id)
        found.update(above.values())
        waiting += above
    return tuple(sorted(found))


async def _above(transaction: Connection, key_id: str) -> dict[str, str]:
    """Return the keys that made a key and its person, each with the person whose key it is."""
    made = (
        select(keys.c.made_by_key, persons.c.made_by_key)
        .join(persons, persons.c.name == keys.c.person, isouter=True)
        .where(keys.c.id == key_id)
    )
    row = (await transaction.execute(made)).first()
    ids = [each for each in row or () if each is not None]
    chosen = select(keys.c.id, keys.c.person).where(keys.c.id.in_(ids))
    return {found.id: found.person for found in await transaction.execute(chosen)}
