"""Replay of drafts: every statement is recomputed from the records before it, and must agree to the byte."""

from collections.abc import Mapping, Sequence

from byline.errors import InvalidInput
from byline_service.compensation.budgets import ceiling, require_few_drafts, require_finished, spending
from byline_service.compensation.calendar import period_named
from byline_service.compensation.drafting import (
    Candidates,
    Release,
    draft_allocation,
    draft_release,
    draft_reversal,
    versions_by_size,
)
from byline_service.compensation.event import Event
from byline_service.compensation.journal import Record, RunDrafted
from byline_service.compensation.payouts import WantedPayout, draft_payout
from byline_service.compensation.period_events import PeriodEvents, Search, period_events
from byline_service.compensation.replay.ledger import ReplayedLedger, Stamp
from byline_service.compensation.replay.payouts import replayed_dues
from byline_service.compensation.rosters import Roster
from byline_service.compensation.runs import Run, carried_of
from byline_service.compensation.splits import day_of
from byline_service.compensation.statements import (
    AllocationStatement,
    PayoutStatement,
    ReleaseStatement,
    ReversalStatement,
    Statement,
)


def draft(
    book: ReplayedLedger, record: Record, fact: RunDrafted, where: str, events: Mapping[int, Event]
) -> None:
    """Add a draft, whose statement is recomputed unless the run is void.

    Args:
        book: The ledger so far.
        record: Record of the draft.
        fact: Its content.
        where: Its name in errors.
        events: The events of `events_of`, by sequence.

    Raises:
        InvalidInput: The statement does not fit the ledger.
    """
    statement = fact.statement
    if fact.run in book.runs:
        book.wrong(where, "the run was drafted already")
    _, policy = book.policies.get((statement.policy.name, statement.policy.revision), (0, None))
    if policy != statement.policy:
        book.wrong(where, "the run's policy is not the revision that it names")
    book.runs[fact.run] = Run(
        id=fact.run, drafted_by=record.person, makers=fact.by.makers, statement=statement
    )
    book.stamps[fact.run, "draft"] = Stamp(record.sequence, record.person, record.at, fact.by.key)
    _count_drafts(book, fact, statement.policy.name)
    if fact.run in book.void:
        return
    if _recomputed(book, record, statement, events).canonical() != statement.canonical():
        book.wrong(where, "the recomputed statement differs: it must agree to the byte")


def _recomputed(
    book: ReplayedLedger, record: Record, statement: Statement, events: Mapping[int, Event]
) -> Statement:
    name = statement.policy.name
    if isinstance(statement, ReversalStatement):
        run = book.runs.get(statement.run)
        if run is None:
            raise InvalidInput("the reversed run does not exist")
        return draft_reversal(run, statement.reason)
    if isinstance(statement, ReleaseStatement):
        amounts = {line.owner: line.amount for line in statement.lines}
        wanted = Release(account=statement.account, reason=statement.reason, amounts=amounts)
        in_force = book.restrictions(record.sequence - 1)
        shares = book.shares_of(statement.policy, record.sequence - 1)
        return draft_release(
            statement.policy, wanted, book.balances(name), day_of(record.at), in_force, shares
        )
    if isinstance(statement, PayoutStatement):
        wanted_payout = WantedPayout(
            amounts={line.owner: line.amount for line in statement.lines},
            payees={line.owner: line.payee for line in statement.lines if line.payee is not None},
        )
        in_force = book.restrictions(record.sequence - 1)
        return draft_payout(statement.policy, wanted_payout, replayed_dues(book, name), in_force)
    if statement.basis >= record.sequence:
        raise InvalidInput("the run was drafted on later records")
    require_finished(period_named(statement.policy.period, statement.period), record.at)
    return _reallocated(book, statement, events)


def _count_drafts(book: ReplayedLedger, fact: RunDrafted, policy: str) -> None:
    """Hold the limit of open drafts."""
    book.open.setdefault(policy, set())
    require_few_drafts(len(book.open[policy]))
    book.open[policy].add(fact.run)


def _reallocated(
    book: ReplayedLedger, statement: AllocationStatement, events: Mapping[int, Event]
) -> AllocationStatement:
    policy, basis = statement.policy, statement.basis
    found = events_of(book, statement)
    own = [events[event.sequence] for event in found.own]
    late = [events[event.sequence] for event in found.late]
    spent = spending(book.divisions_of(policy), statement.period, basis)
    _, paid_by = book.policies.get((policy.name, spent.revision or 0), (0, None))
    return draft_allocation(
        policy,
        Candidates(
            kind=statement.kind,
            period=period_named(policy.period, statement.period),
            basis=basis,
            events=own,
            late=late,
            late_waiting=found.late_waiting,
            earlier=found.earlier,
            elsewhere=found.elsewhere,
            other_groups={
                event.id: book.claims.other_payers(policy.group, event.id, basis) for event in (*own, *late)
            },
            carried=carried_of(book.balances(policy.name, basis)),
            spending=spent,
            budget=ceiling(policy, paid_by),
            founded=book.founded.get(policy.name, ""),
            repeated=book.repeated(policy, [*own, *late]),
            restrictions=book.restrictions(basis),
            rosters=_rosters(book, statement, [*own, *late]),
            shares=book.shares_of(policy, basis),
            holds_ended=book.restrictions_ended(statement.since, basis),
        ),
    )


def _rosters(book: ReplayedLedger, statement: AllocationStatement, events: Sequence[Event]) -> list[Roster]:
    policy, basis = statement.policy, statement.basis
    if policy.basis == "training":
        found = book.rosters.of_period(policy.indexes[0], statement.until, basis)
        return [] if found is None else [found]
    return list(book.rosters.of_versions(versions_by_size(policy, events), basis).values())


def events_of(book: ReplayedLedger, statement: AllocationStatement) -> PeriodEvents:
    """Find the events that a draft looks at."""
    policy = statement.policy
    period = period_named(policy.period, statement.period)
    search = Search(policy=policy, kind=statement.kind, period=period, basis=statement.basis)
    return period_events(search, book.events.values(), book.claims, book.divisions_of(policy))
