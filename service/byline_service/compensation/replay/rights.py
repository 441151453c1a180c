"""Replay of rights tables: each party is recorded, and no right is over-claimed."""

from byline.errors import InvalidInput
from byline_service.compensation.journal import Record
from byline_service.compensation.replay.ledger import ReplayedLedger
from byline_service.compensation.rights import RightsTable


def read_rights(book: ReplayedLedger, record: Record, table: RightsTable) -> None:
    """Add a revision of a table.

    Raises:
        InvalidInput: The revision is not one that the service writes.
    """
    book.rights.add(record.sequence, table)
    names = book.parties.names()
    if any(row.party not in names for row in table.rows):
        raise InvalidInput("a row of the table names a party that is not recorded")
