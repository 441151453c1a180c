"""SQL of the keys behind a run: who acted with which key, and who made it."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import RowMapping, select

from byline.api.statements import RunHand
from byline_service.accounts import persons
from byline_service.compensation.timestamps import timestamp_text
from byline_service.database import Connection
from byline_service.database.tables.accounts import keys
from byline_service.ledger.statement_queries import RunRow


async def hands_of(transaction: Connection, run: RunRow) -> list[RunHand]:
    """Return the keys behind the draft and the steps of a run, in the order of time.

    Args:
        transaction: An open transaction.
        run: The run.
    """
    acts = list(_acts(run))
    chosen = select(keys).where(keys.c.id.in_({key for _, _, key in acts if key is not None}))
    made = {row["id"]: row for row in (await transaction.execute(chosen)).mappings()}
    known = await persons.by_name(transaction, {person for _, person, _ in acts})
    return [
        RunHand(act=act, person=person, key=key, **_key(made.get(key or "")), **_person(known.get(person)))
        for act, person, key in acts
    ]


def _acts(run: RunRow) -> Iterator[tuple[Any, str, str | None]]:
    yield "draft", run.drafted_by, run.key
    for name, step in sorted(run.steps.items(), key=lambda item: item[1].at):
        yield name, step.person, step.key


def _key(row: RowMapping | None) -> dict[str, str | None]:
    if row is None:
        return {"key_made_by": None, "key_made_at": None}
    return {"key_made_by": row["made_by"], "key_made_at": timestamp_text(row["created_at"])}


def _person(person: persons.Person | None) -> dict[str, str | None]:
    if person is None:
        return {"person_made_by": None, "person_made_at": None}
    return {"person_made_by": person.made_by, "person_made_at": timestamp_text(person.made_at)}
