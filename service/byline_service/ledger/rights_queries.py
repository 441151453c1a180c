"""SQL of rights tables."""

from sqlalchemy import func, insert, select

from byline.errors import NotFound
from byline_service.accounts import audit
from byline_service.accounts.scopes import Caller
from byline_service.compensation.policy import Policy
from byline_service.compensation.rights import RightsRevised, RightsTable
from byline_service.compensation.rights_csv import parse_rights
from byline_service.compensation.splits import PartyShares
from byline_service.database import Connection
from byline_service.database.tables.compensation import rights_tables
from byline_service.ledger import journal_queries, party_queries


async def revise_rights(transaction: Connection, caller: Caller, index: str, text: str) -> RightsTable:
    """Add a revision of an index's rights table. The newest revision again is no other revision.

    Args:
        transaction: The open transaction.
        caller: The person who revises.
        index: Own name of the index.
        text: The whole table as CSV.

    Raises:
        InvalidInput: A line is wrong, or a right is over-claimed. The message names the lines.
    """
    place = await journal_queries.next_position(transaction)
    book = await party_queries.party_book(transaction)
    labels = {label: book.revisions[party][0][1].name for label, (_, party) in book.labels.items()}
    rows = parse_rights(text, labels)
    before = await newest(transaction, index)
    if before is not None and before.rows == rows:
        return before
    table = RightsTable(index=index, revision=1 if before is None else before.revision + 1, rows=rows)
    await journal_queries.write(transaction, place, caller.person, RightsRevised(table=table))
    await transaction.execute(insert(rights_tables).values(row_of(place.sequence, table)))
    await audit.record(transaction, caller, "rights.revise", index, {"revision": table.revision})
    return table


async def shares(transaction: Connection, policy: Policy, basis: int) -> PartyShares:
    """Return the rights tables and aliases that divide a policy's amounts after a record.

    Args:
        transaction: An open transaction.
        policy: The policy.
        basis: Sequence of the record.
    """
    table = rights_tables.c
    chosen = select(func.max(table.sequence)).where(table.sequence <= basis).group_by(table.index_name)
    if policy.indexes:
        chosen = chosen.where(table.index_name.in_(policy.indexes))
    sequences = sorted((await transaction.execute(chosen)).scalars())
    records = await journal_queries.records(transaction, sequences)
    tables = [
        (record.sequence, record.fact.table) for record in records if isinstance(record.fact, RightsRevised)
    ]
    return PartyShares(tables, await party_queries.aliases(transaction, basis))


async def newest(transaction: Connection, index: str) -> RightsTable | None:
    """Return the newest revision of an index's table. None if there is none."""
    chosen = select(rights_tables.c.sequence).where(rights_tables.c.index_name == index)
    chosen = chosen.order_by(rights_tables.c.revision.desc()).limit(1)
    sequences = list((await transaction.execute(chosen)).scalars())
    facts = [record.fact for record in await journal_queries.records(transaction, sequences)]
    return next((fact.table for fact in facts if isinstance(fact, RightsRevised)), None)


async def find(transaction: Connection, index: str) -> RightsTable:
    """Return the newest revision of an index's table.

    Raises:
        NotFound: The index has none.
    """
    found = await newest(transaction, index)
    if found is None:
        raise NotFound("expected an index with a rights table, this one has none")
    return found


def row_of(sequence: int, table: RightsTable) -> dict[str, object]:
    """Return the row that a revision has."""
    return {
        "index_name": table.index,
        "revision": table.revision,
        "sequence": sequence,
        "rows": len(table.rows),
        "sha256": table.sha256,
    }
