"""SQL of the events that a draft divides a period's budget over, and of the state that it depends on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, select

from byline.errors import InvalidInput
from byline_service.compensation.budgets import PeriodRun, ceiling, spending
from byline_service.compensation.drafting import (
    MOST_EVENTS,
    MOST_SCORES,
    Candidates,
    late_within,
    size_of,
    versions_by_size,
)
from byline_service.compensation.event import Event
from byline_service.compensation.period_events import Search
from byline_service.compensation.runs import carried_of
from byline_service.compensation.timestamps import parse_timestamp
from byline_service.database import Connection
from byline_service.database.tables.compensation import (
    event_claims,
    events,
    ledger_entries,
    run_steps,
    statement_runs,
)
from byline_service.ledger import (
    entry_queries,
    event_queries,
    holding,
    journal_queries,
    policy_queries,
    rights_queries,
    roster_queries,
)

Condition = ColumnElement[bool]


async def candidates(transaction: Connection, search: Search) -> Candidates:
    """Read everything that a draft depends on.

    Args:
        transaction: An open transaction.
        search: The draft.

    Raises:
        InvalidInput: The events of the period have more scores than a run may have.
    """
    policy, basis = search.policy, search.basis
    spent = spending(await posted_divisions(transaction, policy.name), search.period.name, basis)
    paid_by = (
        None
        if spent.revision is None
        else await policy_queries.find(transaction, policy.name, spent.revision)
    )
    found = Candidates(
        kind=search.kind,
        period=search.period,
        basis=basis,
        events=[] if policy.basis == "training" else await _own(transaction, search),
        elsewhere={} if policy.basis == "training" else await _elsewhere(transaction, search),
        carried=carried_of(await entry_queries.balances(transaction, policy.name, basis)),
        spending=spent,
        budget=ceiling(policy, paid_by),
        founded=await policy_queries.founded(transaction, policy.name),
    )
    if policy.basis == "training":
        rosters = await roster_queries.for_period(transaction, policy.indexes[0], search.period.until, basis)
        return await _with_restrictions(transaction, search, replace(found, rosters=rosters))
    if search.kind == "allocation":
        found = await _with_late(transaction, search, found)
    ids = [event.id for event in (*found.late, *found.events)]
    versions = versions_by_size(policy, [*found.late, *found.events])
    found = replace(
        found,
        rosters=await roster_queries.of_versions(transaction, versions, basis),
        other_groups=await _other_groups(transaction, search, ids),
        repeated=await event_queries.repeated(transaction, policy, ids),
    )
    return await _with_restrictions(transaction, search, found)


async def _with_restrictions(transaction: Connection, search: Search, found: Candidates) -> Candidates:
    return replace(
        found,
        restrictions=await holding.restrictions(transaction, search.basis),
        shares=await rights_queries.shares(transaction, search.policy, search.basis),
        holds_ended=await holding.ended_between(transaction, search.period.since, search.basis),
    )


async def posted_divisions(transaction: Connection, policy: str) -> list[PeriodRun]:
    """Return the posted runs of a policy that divided a period, the reversed ones too."""
    posting, reversal = run_steps.alias(), run_steps.alias()
    reverses = statement_runs.alias()
    back = (
        select(reversal.c.sequence)
        .join(reverses, reverses.c.id == reversal.c.run_id)
        .where(reverses.c.reverses == statement_runs.c.id, reversal.c.step == "posting")
        .scalar_subquery()
    )
    pool = (
        select(-func.sum(ledger_entries.c.amount))
        .where(ledger_entries.c.run_id == statement_runs.c.id, ledger_entries.c.account == "funding")
        .scalar_subquery()
    )
    columns = [statement_runs.c[name] for name in ("id", "kind", "period", "revision")]
    chosen = (
        select(*columns, func.coalesce(pool, 0), posting.c.sequence, back)
        .join(posting, and_(posting.c.run_id == statement_runs.c.id, posting.c.step == "posting"))
        .where(statement_runs.c.policy == policy, statement_runs.c.kind.in_(("allocation", "adjustment")))
        .order_by(posting.c.sequence)
    )
    return [
        PeriodRun(
            run=row[0],
            kind=row[1],
            period=row[2],
            revision=row[3],
            pool=int(row[4]),
            posted=row[5],
            reversed=row[6],
        )
        for row in await transaction.execute(chosen)
    ]


async def _own(transaction: Connection, search: Search) -> list[Event]:
    """Return the open events of the period, at most one more than a run may have."""
    since = parse_timestamp(search.period.since)
    chosen = _sequences(search, _is_open(search), events.c.booked_at >= since).limit(MOST_EVENTS + 1)
    found: list[Event] = []
    scores = 0
    sequences = list((await transaction.execute(chosen)).scalars())
    for part in _pages(sequences):
        read = await event_queries.at_sequences(transaction, part)
        scores += sum(map(size_of, read))
        if scores > MOST_SCORES:
            raise InvalidInput(
                f"expected at most {MOST_SCORES} scores in one run, the period's events have more: create policies "
                "with shorter periods or fewer indexes"
            )
        found += read
    return found


async def _with_late(transaction: Connection, search: Search, found: Candidates) -> Candidates:
    """Add the late events that fit into the run, and the numbers of those that wait."""
    before = events.c.booked_at < parse_timestamp(search.period.since)
    late = _sequences(search, _is_open(search), before, _in_paid_period(search))
    own = [size_of(event) for event in found.events]
    read: list[Event] = []
    room = max(0, MOST_EVENTS - len(own))
    sequences = list((await transaction.execute(late.limit(room))).scalars())
    for part in _pages(sequences):
        read += await event_queries.at_sequences(transaction, part)
        if late_within(own, [size_of(event) for event in read]) < len(read):
            break
    fitting = late_within(own, [size_of(event) for event in read])
    all_late = await _count(transaction, late)
    earlier = await _count(transaction, _sequences(search, _is_open(search), before))
    return replace(found, late=read[:fitting], late_waiting=all_late - fitting, earlier=earlier - all_late)


async def _elsewhere(transaction: Connection, search: Search) -> dict[str, int]:
    """Count the events of the period that other policies of the group have paid for."""
    since = parse_timestamp(search.period.since)
    chosen = (
        select(event_claims.c.policy, func.sum(_SIGN))
        .join(events, events.c.id == event_claims.c.event_id)
        .where(
            event_claims.c.policy_group == search.policy.group,
            event_claims.c.policy != search.policy.name,
            event_claims.c.sequence <= search.basis,
            events.c.booked_at >= since,
            *_covered(search),
        )
        .group_by(event_claims.c.policy)
    )
    return {row[0]: int(row[1]) for row in await transaction.execute(chosen) if row[1]}


async def _other_groups(
    transaction: Connection, search: Search, event_ids: Sequence[str]
) -> dict[str, list[str]]:
    """Return the policies of other groups that have paid for events."""
    found: dict[str, list[str]] = {}
    for start in range(0, len(event_ids), journal_queries.PAGE):
        chosen = (
            select(event_claims.c.event_id, event_claims.c.policy)
            .where(
                event_claims.c.policy_group != search.policy.group,
                event_claims.c.sequence <= search.basis,
                event_claims.c.event_id.in_(event_ids[start : start + journal_queries.PAGE]),
            )
            .group_by(event_claims.c.event_id, event_claims.c.policy)
            .having(func.sum(_SIGN) > 0)
            .order_by(event_claims.c.policy)
        )
        for event_id, policy in await transaction.execute(chosen):
            found.setdefault(event_id, []).append(policy)
    return found


_SIGN = case((event_claims.c.claim % 2 == 0, 1), else_=-1)
"""1 for a claim that pays an event, -1 for one that reverses that."""


def _sequences(search: Search, *conditions: Condition) -> Select[Any]:
    chosen = select(events.c.sequence).where(*_covered(search), *conditions)
    return chosen.order_by(events.c.sequence)


def _covered(search: Search) -> list[Condition]:
    """Hold for the events before the end of the period that the policy covers."""
    until = parse_timestamp(search.period.until)
    found: list[Condition] = [events.c.sequence <= search.basis, events.c.booked_at < until]
    return found + ([events.c.index_name.in_(search.policy.indexes)] if search.policy.indexes else [])


def _is_open(search: Search) -> Condition:
    """Hold for the events that no posted run of the group has paid for."""
    claims = (
        select(func.count())
        .where(
            event_claims.c.policy_group == search.policy.group,
            event_claims.c.event_id == events.c.id,
            event_claims.c.sequence <= search.basis,
        )
        .scalar_subquery()
    )
    return claims % 2 == 0


def _in_paid_period(search: Search) -> Condition:
    """Hold for the events of a period that a posted run has paid."""
    posting, reversal = run_steps.alias(), run_steps.alias()
    run, reverses = statement_runs.alias(), statement_runs.alias()
    back = (
        select(reverses.c.id)
        .join(reversal, and_(reversal.c.run_id == reverses.c.id, reversal.c.step == "posting"))
        .where(reverses.c.reverses == run.c.id, reversal.c.sequence <= search.basis)
    )
    return (
        select(run.c.id)
        .join(posting, and_(posting.c.run_id == run.c.id, posting.c.step == "posting"))
        .where(
            run.c.policy == search.policy.name,
            run.c.kind == "allocation",
            run.c.since <= events.c.booked_at,
            events.c.booked_at < run.c.until,
            posting.c.sequence <= search.basis,
            ~back.exists(),
        )
        .exists()
    )


async def _count(transaction: Connection, chosen: Select[Any]) -> int:
    counted = select(func.count()).select_from(chosen.order_by(None).subquery())
    return int((await transaction.execute(counted)).scalar_one())


def _pages(sequences: Sequence[int]) -> list[Sequence[int]]:
    return [sequences[n : n + journal_queries.PAGE] for n in range(0, len(sequences), journal_queries.PAGE)]
