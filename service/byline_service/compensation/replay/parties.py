"""Replay of parties: the labels of each, and the erasure of private details."""

from byline_service.compensation.journal import Record
from byline_service.compensation.parties import PartyErased, PartyRecorded
from byline_service.compensation.replay.ledger import ReplayedLedger, Stamp


def read_party(book: ReplayedLedger, record: Record, fact: PartyRecorded | PartyErased) -> None:
    """Add a revision of a party, or the erasure of its details.

    Raises:
        InvalidInput: The revision is not one that the service writes, or the party does not exist.
        Conflict: Another party has one of its labels.
    """
    if isinstance(fact, PartyErased):
        book.parties.erase(record.sequence, fact.party)
        return
    book.parties.add(record.sequence, fact.party)
    stamp = Stamp(record.sequence, record.person, record.at, None)
    book.party_stamps[fact.party.id, fact.party.revision] = stamp
