"""Replay of parties: the labels of each, the erasure of private details, and the tables of their rights."""

from byline_service.compensation.journal import Record
from byline_service.compensation.parties import PartyErased, PartyRecorded
from byline_service.compensation.replay.ledger import ReplayedLedger, Stamp
from byline_service.compensation.replay.rights import read_rights
from byline_service.compensation.rights import RightsRevised


def read_party(
    book: ReplayedLedger, record: Record, fact: PartyRecorded | PartyErased | RightsRevised
) -> None:
    """Add a revision of a party, the erasure of its details, or a revision of a rights table.

    Raises:
        InvalidInput: The revision is not one that the service writes, or the party does not exist.
        Conflict: Another party has one of its labels.
    """
    if isinstance(fact, RightsRevised):
        read_rights(book, record, fact.table)
        return
    if isinstance(fact, PartyErased):
        book.parties.erase(record.sequence, fact.party)
        return
    book.parties.add(record.sequence, fact.party)
    stamp = Stamp(record.sequence, record.person, record.at, None)
    book.party_stamps[fact.party.id, fact.party.revision] = stamp
