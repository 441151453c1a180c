"""Booked events: where each is in the journal, and which runs paid for it."""

from collections.abc import Sequence

from sqlalchemy import func, insert, select

from byline.errors import InvalidInput, NotFound
from byline_service.compensation.drafting import MOST_EVENTS, MOST_SCORES, Period
from byline_service.compensation.event import Event
from byline_service.compensation.journal import EventBooked
from byline_service.compensation.policy import Policy
from byline_service.compensation.timestamps import moment_of
from byline_service.database import Connection
from byline_service.database.tables.compensation import event_claims, events
from byline_service.database.tables.versions import index_versions
from byline_service.ledger import journal_queries


async def add(transaction: Connection, event: Event, sequence: int) -> None:
    """Add an event whose record was written.

    Args:
        transaction: The one that wrote it.
        event: The event.
        sequence: Of its record.
    """
    values = {
        "id": event.id,
        "sequence": sequence,
        "booked_at": moment_of(event.booked_at),
        "index_name": event.index,
        "version": event.version,
        "reference": event.reference,
        "weight": event.weight,
    }
    await transaction.execute(insert(events).values(values))


async def find(transaction: Connection, index: str, event_id: str) -> Event:
    """Read an event.

    Raises:
        NotFound: The index has no event of that id.
    """
    chosen = select(events.c.sequence).where(events.c.id == event_id, events.c.index_name == index)
    sequence = (await transaction.execute(chosen)).scalar()
    if sequence is None:
        raise NotFound("expected the id of an event of this index, got another one")
    return (await at_sequences(transaction, [sequence]))[0]


async def page(
    transaction: Connection, index: str, before: int | None, limit: int
) -> list[tuple[int, Event]]:
    """Read events of an index, the newest first.

    Args:
        transaction: An open transaction.
        index: Its name.
        before: Only events older than this sequence.
        limit: How many at most.

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
    """Read events by the sequences of their records."""
    facts = [record.fact for record in await journal_queries.records(transaction, sequences)]
    assert all(isinstance(fact, EventBooked) for fact in facts)
    return [fact.event for fact in facts if isinstance(fact, EventBooked)]


async def open_events(transaction: Connection, policy: Policy, period: Period) -> list[Event]:
    """Read the events that a run looks at: in its period, covered by its policy, not paid for by another run of it.

    Args:
        transaction: An open transaction.
        policy: The policy.
        period: Which events, and as of which record.

    Returns:
        In the order of booking; at most one more than a run may have.

    Raises:
        InvalidInput: They have more scores than a run may have.
    """
    claims = (
        select(func.count())
        .where(
            event_claims.c.policy == policy.name,
            event_claims.c.event_id == events.c.id,
            event_claims.c.sequence <= period.basis,
        )
        .scalar_subquery()
    )
    chosen = select(events.c.sequence).where(
        events.c.sequence <= period.basis, events.c.booked_at < moment_of(period.until), claims % 2 == 0
    )
    if period.since is not None:
        chosen = chosen.where(events.c.booked_at >= moment_of(period.since))
    if policy.indexes:
        chosen = chosen.where(events.c.index_name.in_(policy.indexes))
    rows = await transaction.execute(chosen.order_by(events.c.sequence).limit(MOST_EVENTS + 1))
    sequences = list(rows.scalars())
    found: list[Event] = []
    scores = 0
    for start in range(0, len(sequences), journal_queries.PAGE):
        part = await at_sequences(transaction, sequences[start : start + journal_queries.PAGE])
        scores += sum(len(event.scores) * len(event.members) for event in part)
        if scores > MOST_SCORES:
            raise InvalidInput(
                f"expected at most {MOST_SCORES} scores in one run, the period's events have more: take a shorter one"
            )
        found += part
    return found


async def claims_of(transaction: Connection, policy: str, event_ids: Sequence[str]) -> dict[str, int]:
    """Count how often events were paid for or taken back by runs of a policy.

    Returns:
        Event -> number; odd: it is paid for. Events without any are left out.
    """
    found: dict[str, int] = {}
    for start in range(0, len(event_ids), journal_queries.PAGE):
        part = event_ids[start : start + journal_queries.PAGE]
        chosen = (
            select(event_claims.c.event_id, func.count())
            .where(event_claims.c.policy == policy, event_claims.c.event_id.in_(part))
            .group_by(event_claims.c.event_id)
        )
        found |= {row[0]: row[1] for row in await transaction.execute(chosen)}
    return found


async def versions_of(transaction: Connection, event_ids: Sequence[str]) -> set[tuple[str, str]]:
    """Read which versions answered for events: (index, version)."""
    found: set[tuple[str, str]] = set()
    for start in range(0, len(event_ids), journal_queries.PAGE):
        part = event_ids[start : start + journal_queries.PAGE]
        chosen = select(events.c.index_name, events.c.version).where(events.c.id.in_(part)).distinct()
        found |= {(row[0], row[1]) for row in await transaction.execute(chosen)}
    return found


async def add_claims(
    transaction: Connection, policy: str, claims: Sequence[tuple[str, int]], run_id: str, sequence: int
) -> None:
    """Note that a posted run pays for events, or takes that back.

    Args:
        transaction: The one that posts the run.
        policy: Name of its policy.
        claims: Events, and how often each was paid for or taken back before.
        run_id: The run.
        sequence: Of the posting's record.
    """
    rows = [
        {"policy": policy, "event_id": event_id, "claim": claim, "run_id": run_id, "sequence": sequence}
        for event_id, claim in claims
    ]
    if rows:
        await transaction.execute(insert(event_claims), rows)


async def quarantined(transaction: Connection) -> set[tuple[str, str]]:
    """Read which versions are quarantined: (index, version)."""
    columns = index_versions.c.index_name, index_versions.c.version
    chosen = select(*columns).where(index_versions.c.state == "quarantined")
    return {(row[0], row[1]) for row in await transaction.execute(chosen)}
