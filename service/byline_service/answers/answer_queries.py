"""SQL of recorded answers."""

import json
from datetime import datetime

from sqlalchemy import RowMapping, delete, func, insert, or_, select
from sqlalchemy.sql.elements import ColumnElement

from byline.api.accounts import Scope
from byline.api.recorded_answers import RecordedAnswer
from byline.errors import NotFound
from byline_service.accounts.scopes import Caller
from byline_service.database import Connection
from byline_service.database.tables.answers import recorded_answers as table


async def add(transaction: Connection, recorded: RecordedAnswer, answer: str) -> None:
    """Record an answer.

    Args:
        transaction: The transaction.
        recorded: Description of the answer, and its question.
        answer: Answer as JSON, as it was given.
    """
    values = recorded.model_dump(exclude={"index", "question", "answer"})
    values |= {"index_name": recorded.index, "question": json.dumps(recorded.question), "answer": answer}
    await transaction.execute(insert(table).values(**values))


async def count(reading: Connection, person: str) -> int:
    """Count a person's answers."""
    found = await reading.execute(select(func.count()).select_from(table).where(table.c.person == person))
    return int(found.scalar_one())


async def find(reading: Connection, caller: Caller, answer_id: str, now: datetime) -> RecordedAnswer:
    """Read an answer that the caller may read.

    Args:
        reading: The connection.
        caller: The caller.
        answer_id: Id of the answer.
        now: Present time: an expired answer is not read.

    Raises:
        NotFound: There is none, or another person asked and did not share it.
    """
    chosen = select(table).where(table.c.id == answer_id, table.c.expires_at > now, _readable(caller))
    row = (await reading.execute(chosen)).mappings().one_or_none()
    if row is None:
        raise _missing()
    return _document(row)


async def remove(transaction: Connection, caller: Caller, answer_id: str) -> None:
    """Delete an answer of the caller. Admins delete any.

    Raises:
        NotFound: There is none, or it is another person's.
    """
    chosen = delete(table).where(table.c.id == answer_id)
    if not caller.may(Scope.ADMIN):
        chosen = chosen.where(table.c.person == caller.person)
    if not (await transaction.execute(chosen)).rowcount:
        raise _missing()


async def forget(transaction: Connection, now: datetime) -> None:
    """Delete the answers that have expired."""
    await transaction.execute(delete(table).where(table.c.expires_at <= now))


def _missing() -> NotFound:
    return NotFound("expected the id of an answer that this key may read, got another one")


def _readable(caller: Caller) -> ColumnElement[bool]:
    if caller.may(Scope.ADMIN):
        return table.c.id.is_not(None)
    return or_(table.c.person == caller.person, table.c.shared)


def _document(row: RowMapping) -> RecordedAnswer:
    values = dict(row)
    index, question, answer = (values.pop(name) for name in ("index_name", "question", "answer"))
    return RecordedAnswer(index=index, question=json.loads(question), answer=json.loads(answer), **values)
