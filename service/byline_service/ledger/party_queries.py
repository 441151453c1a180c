"""SQL of parties, their labels and their private details."""

import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from byline.api.parties import PartyDetails
from byline.api.payouts import Payee
from byline.errors import InvalidInput, NotFound
from byline.index.canonical_json import canonical_json
from byline_service.compensation.journal import Record
from byline_service.compensation.parties import Party, PartyBook, PartyRecorded, details_digest, label_taken
from byline_service.compensation.replay.ledger import Finding
from byline_service.compensation.timestamps import parse_timestamp
from byline_service.database import Connection
from byline_service.database.tables.compensation import parties, party_details, party_labels, statement_lines
from byline_service.ledger import journal_queries

PAGE = 500


@dataclass(frozen=True, kw_only=True)
class PartyRow:
    """The newest revision of a party."""

    party: Party
    """The revision."""
    details: PartyDetails | None
    """Private details. None if there are none, or they are erased."""
    recorded_by: str
    """Person of the revision."""
    recorded_at: datetime
    """Time of the revision."""


async def add(transaction: Connection, record: Record, party: Party) -> None:
    """Add a revision and its labels.

    Args:
        transaction: The transaction that wrote the journal record.
        record: The record.
        party: The revision.

    Raises:
        Conflict: Another party has one of the labels.
    """
    values = {
        "id": party.id,
        "revision": party.revision,
        "sequence": record.sequence,
        "name": party.name,
        "recorded_by": record.person,
        "recorded_at": parse_timestamp(record.at),
    }
    await transaction.execute(insert(parties).values(values))
    make = sqlite.insert if transaction.dialect.name == "sqlite" else postgresql.insert
    for label in party.labels:
        row = make(party_labels).values(label=label, party=party.id, sequence=record.sequence)
        await transaction.execute(row.on_conflict_do_nothing())
    chosen = select(party_labels.c.party).where(party_labels.c.label.in_(party.labels))
    if set((await transaction.execute(chosen)).scalars()) != {party.id}:
        raise label_taken()


async def keep_details(
    transaction: Connection, party: str, revision: int, details: PartyDetails | None
) -> str | None:
    """Store private details, and return their salted digest. None if there are none."""
    if details is None:
        return None
    salt = secrets.token_hex(32)
    document = canonical_json(details.model_dump(mode="json")).decode()
    row = {"party": party, "revision": revision, "salt": salt, "document": document}
    await transaction.execute(insert(party_details).values(row))
    return details_digest(salt, details)


async def erase_details(transaction: Connection, party: str) -> None:
    """Delete the private details of all revisions."""
    await transaction.execute(delete(party_details).where(party_details.c.party == party))


async def find(transaction: Connection, party: str) -> PartyRow:
    """Return the newest revision of a party.

    Raises:
        NotFound: There is no such party.
    """
    found = await _rows(transaction, [party])
    if not found:
        raise NotFound("expected the id of a party, got another one: GET /v1/parties lists them")
    return found[0]


async def newest(transaction: Connection, party: str) -> PartyRow | None:
    """Return the newest revision of a party. None if there is no such party."""
    return next(iter(await _rows(transaction, [party])), None)


async def page(
    transaction: Connection, owners: Collection[str] | None, after: str | None, limit: int
) -> list[PartyRow]:
    """Return parties in the order of their names.

    Args:
        transaction: An open transaction.
        owners: Only parties with one of these labels. None for all.
        after: Only names that follow this one.
        limit: Most parties to return.
    """
    chosen = select(parties.c.id).where(parties.c.revision == 1).order_by(parties.c.name).limit(limit)
    if owners is not None:
        theirs = select(party_labels.c.party).where(party_labels.c.label.in_(owners))
        chosen = chosen.where(parties.c.id.in_(theirs))
    if after is not None:
        chosen = chosen.where(parties.c.name > after)
    return await _rows(transaction, list((await transaction.execute(chosen)).scalars()))


async def require_known_owners(
    transaction: Connection, owners: Collection[str], served: Collection[str]
) -> None:
    """Check that every owner is one of a served index, of a statement, or the label of a party.

    Args:
        transaction: An open transaction.
        owners: Labels of owners.
        served: Owners of the served indexes.

    Raises:
        InvalidInput: One of them is unknown.
    """
    left = set(owners) - set(served)
    left -= await _labels_of(transaction, party_labels.c.label, left)
    left -= await _labels_of(transaction, statement_lines.c.owner, left)
    if left:
        raise InvalidInput(
            f"expected owners of a served index or labels of parties, got {len(left)} others: correct the spelling, or "
            "record their parties first"
        )


async def require_recorded_accounts(transaction: Connection, payees: Mapping[str, Payee]) -> None:
    """Check that no account differs from the one that an administrator recorded for the owner's party.

    Args:
        transaction: An open transaction.
        payees: Accounts by owner.

    Raises:
        InvalidInput: One of them differs.
    """
    rows = await page(transaction, payees.keys(), None, len(payees)) if payees else []
    recorded = {
        label: row.details.iban
        for row in rows
        if row.details is not None and row.details.iban is not None
        for label in row.party.labels
    }
    if any(recorded.get(owner, payee.iban) != payee.iban for owner, payee in payees.items()):
        raise InvalidInput(
            "expected the recorded account of each owner's party, got another one: an administrator can change the party"
        )


async def party_book(transaction: Connection) -> PartyBook:
    """Return every party, as the replay of the journal has them."""
    rows = (await transaction.execute(select(parties.c.sequence).order_by(parties.c.sequence))).scalars()
    book = PartyBook()
    for record in await journal_queries.records(transaction, list(rows)):
        if isinstance(record.fact, PartyRecorded):
            book.add(record.sequence, record.fact.party)
    return book


async def aliases(transaction: Connection, basis: int) -> dict[str, str]:
    """Return the name of the party that has each alias.

    Args:
        transaction: An open transaction.
        basis: Sequence of the last journal record that counts.
    """
    label = party_labels.c.label
    chosen = (
        select(label, parties.c.name)
        .join(parties, (parties.c.id == party_labels.c.party) & (parties.c.revision == 1))
        .where(party_labels.c.sequence <= basis, label != parties.c.name)
    )
    return {row[0]: row[1] for row in await transaction.execute(chosen)}


async def wrong_details(transaction: Connection, book: PartyBook) -> list[Finding]:
    """Compare the private details with the digests of the journal. Erased ones must be gone, and all others there."""
    stored = {
        (row.party, row.revision): details_digest(row.salt, PartyDetails(**json.loads(row.document)))
        for row in await transaction.execute(select(party_details))
    }
    expected = {
        (party, each.revision): each.details
        for party, revisions in book.revisions.items()
        for sequence, each in revisions
        if each.details is not None and sequence > book.erased.get(party, 0)
    }
    return [
        Finding(f"party_details {party}, {revision}", "the details are not those of the journal")
        for party, revision in sorted(stored.keys() | expected.keys())
        if stored.get((party, revision)) != expected.get((party, revision))
    ]


async def _rows(transaction: Connection, ids: Iterable[str]) -> list[PartyRow]:
    """Return the newest revisions of some parties, in the order of their names."""
    chosen = select(func.max(parties.c.sequence)).where(parties.c.id.in_(list(ids))).group_by(parties.c.id)
    sequences = sorted((await transaction.execute(chosen)).scalars())
    found = []
    for record in await journal_queries.records(transaction, sequences):
        if isinstance(record.fact, PartyRecorded):
            party = record.fact.party
            found.append(
                PartyRow(
                    party=party,
                    details=await _details(transaction, party),
                    recorded_by=record.person,
                    recorded_at=parse_timestamp(record.at),
                )
            )
    return sorted(found, key=lambda each: each.party.name)


async def _details(transaction: Connection, party: Party) -> PartyDetails | None:
    chosen = select(party_details.c.document).where(
        party_details.c.party == party.id, party_details.c.revision == party.revision
    )
    document = (await transaction.execute(chosen)).scalar()
    return None if document is None else PartyDetails(**json.loads(document))


async def _labels_of(transaction: Connection, column: Column[str], labels: Collection[str]) -> set[str]:
    """Return those of some labels that a column has."""
    found: set[str] = set()
    wanted = sorted(labels)
    for start in range(0, len(wanted), PAGE):
        chosen = select(column).where(column.in_(wanted[start : start + PAGE])).distinct()
        found |= set((await transaction.execute(chosen)).scalars())
    return found
