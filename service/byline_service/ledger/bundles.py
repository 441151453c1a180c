"""Bundles of runs, read from the ledger."""

from sqlalchemy import select

from byline.errors import InvalidInput
from byline_service.compensation.bundle import Bundle
from byline_service.compensation.event import Event
from byline_service.compensation.statements import AllocationStatement
from byline_service.database import Connection
from byline_service.database.tables.compensation import events
from byline_service.ledger import event_queries, journal_queries, signing_key_queries, statement_queries


async def read_bundle(reading: Connection, run_id: str) -> Bundle:
    """Read a run's statement with its events and their keys.

    Args:
        reading: The transaction.
        run_id: The run.

    Raises:
        NotFound: There is no such run.
        InvalidInput: The run divides no pool.
    """
    _, run = await statement_queries.find(reading, run_id)
    if not isinstance(run.statement, AllocationStatement):
        raise InvalidInput(
            "expected a run that divides a pool, got a release or a reversal: it has no events"
        )
    paid = [event.id for event in run.statement.events]
    found: dict[str, Event] = {}
    for start in range(0, len(paid), journal_queries.PAGE):
        chosen = select(events.c.sequence).where(events.c.id.in_(paid[start : start + journal_queries.PAGE]))
        sequences = list((await reading.execute(chosen)).scalars())
        found |= {event.id: event for event in await event_queries.at_sequences(reading, sequences)}
    used = {event.signature.key for event in found.values()}
    keys = [key.text for key in await signing_key_queries.known(reading) if key.id in used]
    return Bundle(
        run=run_id,
        statement=run.statement,
        events=tuple(found[event] for event in paid),
        keys=tuple(keys),
    )
