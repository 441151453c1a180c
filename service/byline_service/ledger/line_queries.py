"""SQL of the events behind one owner's line of a statement."""

from collections.abc import Sequence

from sqlalchemy import func, select

from byline_service.compensation.event import Event
from byline_service.compensation.statements import AllocationStatement
from byline_service.database import Connection
from byline_service.database.tables.compensation import events
from byline_service.ledger import event_queries, journal_queries

READ_AT_ONCE = 50
"""Events that are read together. Each holds the scores of all owners."""


async def total_weight(transaction: Connection, statement: AllocationStatement) -> int:
    """Add up the weights of the events that a statement pays for."""
    ids, total = [event.id for event in statement.events], 0
    for start in range(0, len(ids), journal_queries.PAGE):
        chosen = select(func.sum(events.c.weight)).where(
            events.c.id.in_(ids[start : start + journal_queries.PAGE])
        )
        total += int((await transaction.execute(chosen)).scalar_one() or 0)
    return total


async def events_of_owner(
    transaction: Connection, statement: AllocationStatement, owner: str, first: int, most: int
) -> list[tuple[int, Event]]:
    """Read the events of a statement that have scores of an owner.

    Args:
        transaction: An open transaction.
        statement: The statement.
        owner: The owner.
        first: Position of the first event to look at.
        most: Most events to return.

    Returns:
        Positions in the statement, and the events, in its order.
    """
    found: list[tuple[int, Event]] = []
    for start in range(first, len(statement.events), READ_AT_ONCE):
        ids = [event.id for event in statement.events[start : start + READ_AT_ONCE]]
        read = {event.id: event for event in await _with_ids(transaction, ids)}
        found += [
            (start + place, read[event])
            for place, event in enumerate(ids)
            if event in read and owner in read[event].scores
        ]
        if len(found) >= most:
            break
    return found[:most]


async def _with_ids(transaction: Connection, ids: Sequence[str]) -> list[Event]:
    chosen = select(events.c.sequence).where(events.c.id.in_(ids)).order_by(events.c.sequence)
    return await event_queries.at_sequences(transaction, list((await transaction.execute(chosen)).scalars()))
