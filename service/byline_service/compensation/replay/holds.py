"""Replay of holds and disputes."""

from byline_service.compensation.holds import Act, HoldEnded, HoldPlaced
from byline_service.compensation.journal import Record
from byline_service.compensation.replay.ledger import ReplayedLedger


def hold(book: ReplayedLedger, record: Record, fact: HoldPlaced | HoldEnded) -> None:
    """Add the placement or the end of a hold.

    Raises:
        RunConflict: The hold was placed already, was never placed, or has ended.
    """
    act = Act(sequence=record.sequence, person=record.person, at=record.at, reason=fact.reason)
    book.holds.read(fact, act)
