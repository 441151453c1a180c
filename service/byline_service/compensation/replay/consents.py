"""Replay of consents."""

from byline_service.compensation.consents import ConsentsFact
from byline_service.compensation.journal import Record
from byline_service.compensation.replay.ledger import ReplayedLedger


def record_consents(book: ReplayedLedger, record: Record, fact: ConsentsFact) -> None:
    """Add recorded consents."""
    book.consents.read(fact, record.sequence, record.person, record.at)
