"""Placement and end of holds. Each is a journal record."""

import secrets

from byline.api.holds import HoldBody
from byline_service.accounts import audit
from byline_service.accounts.scopes import Caller
from byline_service.compensation.holds import Act, Hold, HoldEnded, HoldPlaced
from byline_service.compensation.parties import of_every_label
from byline_service.compensation.restrictions import Restriction
from byline_service.database import Connection
from byline_service.ledger import consent_queries, hold_queries, journal_queries, party_queries


async def place(transaction: Connection, caller: Caller, wanted: HoldBody) -> Hold:
    """Place a hold. Runs that are drafted from now on hold the subject's amounts back.

    Args:
        transaction: The open transaction.
        caller: The person who places it.
        wanted: Subject, nature and reason.
    """
    at = await journal_queries.next_position(transaction)
    hold = Hold(
        id=secrets.token_hex(16),
        subject=wanted.subject,
        nature=wanted.nature,
        placed=Act(sequence=at.sequence, person=caller.person, at=at.at, reason=wanted.reason),
    )
    fact = HoldPlaced(hold=hold.id, subject=hold.subject, nature=hold.nature, reason=wanted.reason)
    await journal_queries.write(transaction, at, caller.person, fact)
    await hold_queries.add(transaction, hold)
    await audit.record(transaction, caller, "holds.place", hold.id, hold.subject.model_dump(mode="json"))
    return hold


async def end(transaction: Connection, caller: Caller, hold_id: str, reason: str) -> Hold:
    """End a hold. A release pays out what it held.

    Args:
        transaction: The open transaction.
        caller: The person who ends it.
        hold_id: The hold.
        reason: The reason, in words.

    Raises:
        NotFound: There is no such hold.
        RunConflict: The hold has ended.
    """
    at = await journal_queries.next_position(transaction)
    known = await hold_queries.find(transaction, hold_id)
    ended = known.end(Act(sequence=at.sequence, person=caller.person, at=at.at, reason=reason))
    await journal_queries.write(transaction, at, caller.person, HoldEnded(hold=hold_id, reason=reason))
    await hold_queries.add_end(transaction, ended)
    await audit.record(transaction, caller, "holds.end", hold_id, {})
    return ended


async def restrictions(transaction: Connection, basis: int | None = None) -> list[Restriction]:
    """Return the holds that are in force, and every missing consent.

    Args:
        transaction: An open transaction.
        basis: Sequence of the last record that counts. None counts all records.
    """
    upto = await journal_queries.last_sequence(transaction) if basis is None else basis
    held = await hold_queries.restrictions(transaction, upto)
    found = [*held, *await consent_queries.restrictions(transaction, upto)]
    return of_every_label(found, await party_queries.party_book(transaction), upto) if found else []


async def ended_between(transaction: Connection, since: str, basis: int) -> int:
    """Count the holds that ended, and the consents that ended a restriction.

    Args:
        transaction: An open transaction.
        since: Only those from this time on.
        basis: Sequence of the last record that counts.
    """
    ended = await hold_queries.ended_between(transaction, since, basis)
    return ended + await consent_queries.allowed_between(transaction, since, basis)
