"""Replay of payouts: their confirmations by the bank, and the state of the payable accounts."""

from collections.abc import Iterator

from byline.errors import InvalidInput
from byline_service.compensation.journal import PayoutConfirmed, Record
from byline_service.compensation.payouts import (
    Due,
    Move,
    confirmed_entries,
    dues_of,
    reference_key,
    require_value_date,
)
from byline_service.compensation.replay.ledger import Confirmation, PostedRun, ReplayedLedger, Stamp
from byline_service.compensation.runs import require_balanced
from byline_service.compensation.statements import PayoutStatement, ReversalStatement


def confirm(book: ReplayedLedger, record: Record, fact: PayoutConfirmed, where: str) -> None:
    """Add the confirmation of a payout.

    Args:
        book: The ledger so far.
        record: Record of the confirmation.
        fact: Its content.
        where: Its name in errors.

    Raises:
        InvalidInput: The confirmation is not allowed.
    """
    run = book.runs.get(fact.run)
    if run is None:
        raise InvalidInput("the payout does not exist")
    if fact.digest != run.statement.sha256:
        book.wrong(where, "the person confirmed another statement")
    statement = run.require_confirmable(record.person, fact.by.makers)
    if run.id in book.reversed:
        raise InvalidInput("the payout was reversed, and it was confirmed")
    if run.id in {each.run for each in book.confirmations.values()}:
        raise InvalidInput("the payout was confirmed already")
    key = reference_key(fact.reference)
    if key in book.confirmations:
        raise InvalidInput("another payout has the reference of the bank")
    require_value_date(fact.value_date, book.stamps[run.id, "draft"].at, record.at)
    entries = confirmed_entries(statement, fact.returned)
    require_balanced(entries)
    stamp = Stamp(record.sequence, record.person, record.at, fact.by.key)
    book.confirmations[key] = Confirmation(run.id, fact.reference, fact.value_date, stamp)
    book.entries += [
        PostedRun(record.sequence, line, run.id, statement.policy, entry)
        for line, entry in enumerate(entries, start=1)
    ]


def replayed_dues(book: ReplayedLedger, policy: str) -> dict[str, Due]:
    """Return the state of a policy's `payable` accounts."""
    return dues_of(_moves(book, policy))


def _moves(book: ReplayedLedger, policy: str) -> Iterator[Move]:
    for each in book.entries:
        owner = each.entry.owner
        if each.policy.name == policy and each.entry.account == "payable" and owner is not None:
            yield Move(owner, each.entry.amount, _is_payout(book, each.run))


def _is_payout(book: ReplayedLedger, run: str) -> bool:
    statement = book.runs[run].statement
    if isinstance(statement, ReversalStatement):
        statement = book.runs[statement.run].statement
    return isinstance(statement, PayoutStatement)
