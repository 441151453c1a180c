"""Records of parties, and the erasure of their private details."""

from byline.api.parties import PartyBody, PartyDetails, PartyIdentifiers
from byline_service.accounts import audit
from byline_service.accounts.scopes import Caller
from byline_service.compensation.parties import (
    Party,
    PartyErased,
    PartyRecorded,
    checked_details,
    checked_identifiers,
    party_id,
    required_label,
)
from byline_service.database import Connection
from byline_service.ledger import journal_queries, party_queries
from byline_service.ledger.party_queries import PartyRow


async def record_party(transaction: Connection, caller: Caller, body: PartyBody) -> PartyRow:
    """Record a party, or a revision of it. The newest revision again is no other revision.

    Args:
        transaction: The open transaction.
        caller: The person who records.
        body: The party.

    Returns:
        The party.

    Raises:
        InvalidInput: A label has invisible characters, or an identifier has a wrong check digit.
        Conflict: Another party has one of the labels.
    """
    name = required_label(body.name)
    aliases = tuple(sorted({required_label(alias) for alias in body.aliases} - {name}))
    identifiers, details = checked_identifiers(body.identifiers), checked_details(body.details)
    place = await journal_queries.next_position(transaction)
    before = await party_queries.newest(transaction, party_id(name))
    if before is not None and (before.party.aliases, before.party.identifiers, before.details) == (
        aliases,
        identifiers,
        details,
    ):
        return before
    revision = 1 if before is None else before.party.revision + 1
    digest = await party_queries.keep_details(transaction, party_id(name), revision, details)
    party = Party(name=name, revision=revision, aliases=aliases, identifiers=identifiers, details=digest)
    record = await journal_queries.write(transaction, place, caller.person, PartyRecorded(party=party))
    await party_queries.add(transaction, record, party)
    await audit.record(transaction, caller, "parties.record", party.id, {"revision": revision})
    return await party_queries.find(transaction, party.id)


async def record_labels(transaction: Connection, caller: Caller, name: str, aliases: list[str]) -> PartyRow:
    """Record a party with these aliases. Its identifiers and details stay as they are.

    Args:
        transaction: The open transaction.
        caller: The person who records.
        name: Name of the party.
        aliases: Its other labels.
    """
    before = await party_queries.newest(transaction, party_id(required_label(name)))
    identifiers = PartyIdentifiers() if before is None else before.party.identifiers
    details = None if before is None else before.details
    body = PartyBody(name=name, aliases=aliases, identifiers=identifiers, details=details or PartyDetails())
    return await record_party(transaction, caller, body)


async def erase_details(transaction: Connection, caller: Caller, party: str) -> None:
    """Delete the private details of a party. Its name, identifiers and payments stay.

    Args:
        transaction: The open transaction.
        caller: The person who erases.
        party: Id of the party.

    Raises:
        NotFound: There is no such party.
    """
    place = await journal_queries.next_position(transaction)
    await party_queries.find(transaction, party)
    await party_queries.erase_details(transaction, party)
    await journal_queries.write(transaction, place, caller.person, PartyErased(party=party))
    await audit.record(transaction, caller, "parties.erase", party)
