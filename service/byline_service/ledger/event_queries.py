"""SQL of booked events and of the runs that paid for them."""

from collections.abc import Sequence

from sqlalchemy import func, insert, select

from byline.api.versions import VersionState
from byline.errors import NotFound
from byline_service.compensation.event import Event
from byline_service.compensation.journal import EventBooked
from byline_service.compensation.policy import Policy
from byline_service.compensation.timestamps import parse_timestamp
from byline_service.database import Connection
from byline_service.database.tables.compensation import event_claims, events
from byline_service.database.tables.versions import index_versions
from byline_service.ledger import journal_queries


async def add(transaction: Connection, event: Event, sequence: int) -> None:
    """Add a booked event.

    Args:
        transaction: The transaction that wrote the journal record.
        event: The event.
        sequence: Sequence of the record.
    """
    values = {
        "id": event.id,
        "sequence": sequence,
        "booked_at": parse_timestamp(event.booked_at),
        "index_name": event.index,
        "version": event.version,
        "reference": event.reference,
        "weight": event.weight,
    }
    await transaction.execute(insert(events).values(values))


async def find(transaction: Connection, index: str, event_id: str) -> Event:
    """Return an event.

    Raises:
        NotFound: The index has no event of this id.
    """
    chosen = select(events.c.sequence).where(events.c.id == event_id, events.c.index_name == index)
    sequence = (await transaction.execute(chosen)).scalar()
    if sequence is None:
        raise NotFound("expected the id of an event of this index, got another one")
    return (await at_sequences(transaction, [sequence]))[0]


async def exists(transaction: Connection, event_id: str) -> bool:
    """Return whether an event of this id was booked."""
    chosen = select(events.c.id).where(events.c.id == event_id)
    return (await transaction.execute(chosen)).first() is not None


async def page(
    transaction: Connection, index: str, before: int | None, limit: int
) -> list[tuple[int, Event]]:
    """Return events of an index, the newest first.

    Args:
        transaction: An open transaction.
        index: Name of the index.
        before: Only events older than this sequence.
        limit: Most events to return.

    Returns:
        Sequences and events.
    """
    chosen = select(events.c.sequence).where(events.c.index_name == index)
    if before is not None:
        chosen = chosen.where(events.c.sequence < before)
    found = list(
        (await transaction.execute(chosen.order_by(events.c.sequence.desc()).limit(limit))).scalars()
    )
    read = await at_sequences(transaction, sorted(found))
    return list(zip(found, reversed(read), strict=True))


async def at_sequences(transaction: Connection, sequences: Sequence[int]) -> list[Event]:
    """Return events by the sequences of their records."""
    facts = [record.fact for record in await journal_queries.records(transaction, sequences)]
    assert all(isinstance(fact, EventBooked) for fact in facts)
    return [fact.event for fact in facts if isinstance(fact, EventBooked)]


async def claims_of(transaction: Connection, group: str, event_ids: Sequence[str]) -> dict[str, int]:
    """Count the claims of a group's runs on events.

    Returns:
        Event -> number of claims. An odd number means that the event is paid for. Events without claims are left out.
    """
    found: dict[str, int] = {}
    for start in range(0, len(event_ids), journal_queries.PAGE):
        part = event_ids[start : start + journal_queries.PAGE]
        chosen = (
            select(event_claims.c.event_id, func.count())
            .where(event_claims.c.policy_group == group, event_claims.c.event_id.in_(part))
            .group_by(event_claims.c.event_id)
        )
        found |= {row[0]: row[1] for row in await transaction.execute(chosen)}
    return found


async def repeated(transaction: Connection, policy: Policy, event_ids: Sequence[str]) -> set[str]:
    """Return the events whose reference an earlier event of the policy's indexes has.

    Args:
        transaction: An open transaction.
        policy: The policy.
        event_ids: The events to look at.
    """
    earlier = events.alias("earlier")
    known = select(earlier.c.id).where(
        earlier.c.reference == events.c.reference, earlier.c.sequence < events.c.sequence
    )
    if policy.indexes:
        known = known.where(earlier.c.index_name.in_(policy.indexes))
    found: set[str] = set()
    for start in range(0, len(event_ids), journal_queries.PAGE):
        part = event_ids[start : start + journal_queries.PAGE]
        chosen = select(events.c.id).where(events.c.id.in_(part), known.exists())
        found |= set((await transaction.execute(chosen)).scalars())
    return found


async def add_claims(
    transaction: Connection, policy: Policy, claims: Sequence[tuple[str, int]], run_id: str, sequence: int
) -> None:
    """Add the claims of a posted run on events.

    Args:
        transaction: The transaction that posts the run.
        policy: Its policy.
        claims: Events, each with its number of earlier claims.
        run_id: The run.
        sequence: Sequence of the posting's record.
    """
    rows = [
        {
            "policy_group": policy.group,
            "event_id": event_id,
            "claim": claim,
            "policy": policy.name,
            "run_id": run_id,
            "sequence": sequence,
        }
        for event_id, claim in claims
    ]
    if rows:
        await transaction.execute(insert(event_claims), rows)


async def is_damaged(transaction: Connection, index: str, version: str) -> bool:
    """Return whether the files of a version were found damaged."""
    chosen = select(index_versions.c.state).where(
        index_versions.c.index_name == index, index_versions.c.version == version
    )
    return (await transaction.execute(chosen)).scalar() == VersionState.DAMAGED
