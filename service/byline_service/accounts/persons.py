"""Persons: accounts that keys belong to. A person is recorded once, with the maker, and never changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql, sqlite

from byline.errors import InvalidInput
from byline.names.skeletons import skeletons
from byline_service.accounts import audit
from byline_service.accounts.scopes import Caller
from byline_service.database import Connection
from byline_service.database.tables.accounts import person_skeletons, persons


@dataclass(frozen=True, kw_only=True)
class Person:
    """A recorded person."""

    name: str
    """Name, unlike every other person's."""
    made_by: str
    """Person who recorded this one."""
    made_by_key: str | None
    """Key of that person. None for the command line."""
    made_at: datetime
    """Time of the record."""


async def require_person(transaction: Connection, caller: Caller, name: str) -> None:
    """Record a person, unless the name is on record.

    Args:
        transaction: The open transaction.
        caller: The caller, who is recorded as the maker.
        name: A name of `person_names.person_name`.

    Raises:
        InvalidInput: The name can be mistaken for another person's.
    """
    chosen = select(persons.c.name).where(persons.c.name == name)
    if (await transaction.execute(chosen)).first() is not None:
        return
    added = {
        "name": name,
        "made_by": caller.person,
        "made_by_key": caller.key_id or None,
        "made_at": datetime.now(UTC),
    }
    await transaction.execute(insert(persons).values(added))
    await _claim_skeletons(transaction, name)
    await audit.record(transaction, caller, "persons.create", name)


async def page(transaction: Connection, after: str | None, limit: int) -> list[Person]:
    """Return persons in the order of their names.

    Args:
        transaction: An open transaction.
        after: Only names that follow this one.
        limit: Most persons to return.
    """
    chosen = select(persons).order_by(persons.c.name).limit(limit)
    if after is not None:
        chosen = chosen.where(persons.c.name > after)
    return [Person(**row) for row in (await transaction.execute(chosen)).mappings()]


async def by_name(transaction: Connection, names: set[str]) -> Mapping[str, Person]:
    """Return persons by their names. Names without a record are left out."""
    chosen = select(persons).where(persons.c.name.in_(names))
    return {row["name"]: Person(**row) for row in (await transaction.execute(chosen)).mappings()}


async def _claim_skeletons(transaction: Connection, name: str) -> None:
    make = sqlite.insert if transaction.dialect.name == "sqlite" else postgresql.insert
    claimed = sorted(skeletons(name))  # the same order in all replicas, so that none deadlocks
    for skeleton in claimed:
        row = make(person_skeletons).values(skeleton=skeleton, person=name)
        await transaction.execute(row.on_conflict_do_nothing())
    chosen = select(person_skeletons.c.person).where(person_skeletons.c.skeleton.in_(claimed))
    if set((await transaction.execute(chosen)).scalars()) != {name}:
        raise InvalidInput(
            "expected the name of a person on record, or one that differs from all of them to the eye, got one that "
            "can be mistaken for another: `byline keys list` shows the names"
        )
