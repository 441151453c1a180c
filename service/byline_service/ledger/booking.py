"""Booking of events and revision of policies."""

from byline_service.accounts import audit
from byline_service.accounts.scopes import Caller
from byline_service.compensation.budgets import require_same_terms
from byline_service.compensation.event import Event
from byline_service.compensation.journal import EventBooked, PolicyRevised
from byline_service.compensation.policy import Policy, require_admitted, require_bookable
from byline_service.compensation.runs import RunConflict
from byline_service.database import Connection
from byline_service.ledger import event_queries, journal_queries, policy_queries, signing_key_queries
from byline_service.signing.keys import PublicKey


async def book_event(transaction: Connection, caller: Caller, event: Event, key: PublicKey) -> Event:
    """Book an event.

    Args:
        transaction: The open transaction, which commits the event with its other changes.
        caller: The person who books.
        event: The event. Its time is set here, so that the times of records ascend.
        key: The key that signed its receipt.

    Returns:
        The booked event.

    Raises:
        RunConflict: The receipt was booked before.
        NotPayable: No current policy of the index admits the form of the question, or no policy could pay.
    """
    await journal_queries.next_position(transaction)  # other bookings wait from here on
    if await event_queries.exists(transaction, event.id):
        raise RunConflict("expected a receipt that was not booked before, this one was: read its event")
    policies = await policy_queries.current(transaction)
    require_admitted(policies, event.index, event.asked)
    require_bookable(policies, event)
    await signing_key_queries.remember(transaction, caller.person, key)
    place = await journal_queries.next_position(transaction)
    booked = event.model_copy(update={"booked_at": place.at})
    await journal_queries.write(transaction, place, caller.person, EventBooked(event=booked))
    await event_queries.add(transaction, booked, place.sequence)
    details = {
        "index": booked.index,
        "version": booked.version,
        "asked": booked.asked,
        "weight": booked.weight,
    }
    await audit.record(transaction, caller, "events.book", booked.id, details)
    return booked


async def revise_policy(transaction: Connection, caller: Caller, policy: Policy) -> Policy:
    """Add a revision of a policy. The first revision creates the policy.

    Args:
        transaction: The open transaction.
        caller: The person who revises.
        policy: The policy. The number of its revision is set here.

    Returns:
        The revision.

    Raises:
        RunConflict: The revision has another currency, calendar or group.
    """
    place = await journal_queries.next_position(transaction)
    before = await policy_queries.newest(transaction, policy.name)
    if before is not None:
        require_same_terms(before, policy)
    revised = policy.model_copy(update={"revision": 1 if before is None else before.revision + 1})
    await journal_queries.write(transaction, place, caller.person, PolicyRevised(policy=revised))
    await policy_queries.add(transaction, revised, place.sequence)
    await audit.record(transaction, caller, "policies.revise", revised.name, {"revision": revised.revision})
    return revised
