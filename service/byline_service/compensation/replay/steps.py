"""Replay of approvals, rejections and postings: the rules of each step, and what a posted run changes."""

from dataclasses import replace

from byline.errors import InvalidInput
from byline_service.compensation.budgets import PeriodRun, require_budget, require_current
from byline_service.compensation.journal import Record, RunStepped
from byline_service.compensation.period_events import Claim
from byline_service.compensation.replay.ledger import PostedRun, ReplayedLedger, Stamp
from byline_service.compensation.runs import (
    OPEN,
    Run,
    balances_after,
    require_balanced,
    require_known_restrictions,
)
from byline_service.compensation.splits import require_current_splits
from byline_service.compensation.statements import AllocationStatement, ReversalStatement, Statement


def step(book: ReplayedLedger, record: Record, fact: RunStepped, where: str) -> None:
    """Add a step of a run.

    Args:
        book: The ledger so far.
        record: Record of the step.
        fact: Its content.
        where: Its name in errors.

    Raises:
        InvalidInput: The step is not allowed.
    """
    run = book.runs.get(fact.run)
    if run is None:
        raise InvalidInput("the run does not exist")
    if fact.digest != run.statement.sha256:
        book.wrong(where, "the person acted on another statement")
    if fact.kind == "approval":
        run.require_approvable(record.person, fact.by.makers)
        require_current(run.statement, book.newest(run.statement.policy.name))
        require_known_restrictions(run.statement, book.restrictions(record.sequence - 1))
        require_current_splits(run.statement, book.shares_of(run.statement.policy, record.sequence - 1))
    elif fact.kind == "rejection":
        run.require_rejectable(record.person, fact.comment)
    elif fact.kind == "void":
        run.require_voidable()
    else:
        run.require_postable()
        _post(book, record, run)
    book.runs[run.id] = stepped = replace(run, steps={**run.steps, fact.kind: record.person})
    book.stamps[run.id, fact.kind] = Stamp(
        record.sequence, record.person, record.at, fact.by.key, fact.comment
    )
    if stepped.state not in OPEN:
        book.open.get(run.statement.policy.name, set()).discard(run.id)


def _post(book: ReplayedLedger, record: Record, run: Run) -> None:
    statement = run.statement
    if run.id in book.void:
        raise InvalidInput("the run was posted, and a table has it as void or rejected")
    entries = statement.entries()
    require_balanced(entries)
    require_current(statement, book.newest(statement.policy.name))
    require_known_restrictions(statement, book.restrictions(record.sequence - 1))
    require_current_splits(statement, book.shares_of(statement.policy, record.sequence - 1))
    require_budget(statement, book.divisions_of(statement.policy), record.sequence - 1)
    balances_after(statement, book.balances(statement.policy.name))
    known = book.owners | book.parties.names()
    if any(entry.owner is not None and entry.owner not in known for entry in entries):
        raise InvalidInput("a paid owner has no score in any event, and is no party")
    _claim(book, record, run)
    book.entries += [
        PostedRun(record.sequence, line, run.id, statement.policy, entry)
        for line, entry in enumerate(entries, start=1)
    ]


def _claim(book: ReplayedLedger, record: Record, run: Run) -> None:
    statement = run.statement
    paid: Statement | None = statement
    if isinstance(statement, ReversalStatement):
        if statement.run in book.reversed:
            raise InvalidInput("the run was reversed already")
        book.reversed.add(statement.run)
        run_taken = book.runs.get(statement.run)
        if run_taken is None:
            raise InvalidInput("the reversed run does not exist")
        if statement.run in {each.run for each in book.confirmations.values()}:
            raise InvalidInput("the reversed payout was confirmed by the bank")
        paid = run_taken.statement
    if not isinstance(paid, AllocationStatement):
        return
    taken = paid is not statement
    for event in paid.events:
        if (book.claims.payer(paid.policy.group, event.id, record.sequence) is not None) != taken:
            raise InvalidInput("an event is paid for twice")
        claim = Claim(record.sequence, run.id, paid.policy.name)
        book.claims.add(paid.policy.group, event.id, claim)
    _divide(book, record, run, paid)


def _divide(book: ReplayedLedger, record: Record, run: Run, paid: AllocationStatement) -> None:
    """Note the division of a period, or its reversal."""
    own = book.divisions.setdefault(paid.policy.name, {})
    if isinstance(run.statement, ReversalStatement):
        if run.statement.run not in own:
            raise InvalidInput("the reversed run was not posted")
        own[run.statement.run] = replace(own[run.statement.run], reversed=record.sequence)
        return
    own[run.id] = PeriodRun(
        run=run.id,
        kind=paid.kind,
        period=paid.period,
        revision=paid.policy.revision,
        pool=paid.allocation.pool,
        posted=record.sequence,
        reversed=None,
    )
