"""Booking events and revising policies."""

from byline_service.accounts import audit
from byline_service.accounts.scopes import Caller
from byline_service.compensation.event import Event
from byline_service.compensation.journal import EventBooked, PolicyRevised
from byline_service.compensation.policy import Policy
from byline_service.compensation.runs import RunConflict
from byline_service.database import Connection
from byline_service.ledger import event_queries, journal_queries, policy_queries


async def book_event(transaction: Connection, caller: Caller, event: Event) -> Event:
    """Book an event.

    Args:
        transaction: Commits it with whatever else is done in it.
        caller: Who books.
        event: Its time is set here, so that records are in the order of time.

    Returns:
        The event as it is booked.
    """
    place = await journal_queries.next_place(transaction)
    booked = event.model_copy(update={"booked_at": place.at})
    await journal_queries.write(transaction, place, caller.person, EventBooked(event=booked))
    await event_queries.add(transaction, booked, place.sequence)
    details = {"index": booked.index, "version": booked.version, "weight": booked.weight}
    await audit.record(transaction, caller, "events.book", booked.id, details)
    return booked


async def revise_policy(transaction: Connection, caller: Caller, policy: Policy) -> Policy:
    """Add a revision of a policy; the first makes it.

    Args:
        transaction: Commits it.
        caller: Who revises.
        policy: Its number is set here.

    Returns:
        The revision.

    Raises:
        RunConflict: It would change the policy's currency.
    """
    place = await journal_queries.next_place(transaction)
    before = await policy_queries.newest(transaction, policy.name)
    if before is not None and before.currency != policy.currency:
        raise RunConflict(
            "expected the currency of the policy's first revision: its accounts are in that one; make another policy"
        )
    revised = policy.model_copy(update={"revision": 1 if before is None else before.revision + 1})
    await journal_queries.write(transaction, place, caller.person, PolicyRevised(policy=revised))
    await policy_queries.add(transaction, revised, place.sequence)
    await audit.record(transaction, caller, "policies.revise", revised.name, {"revision": revised.revision})
    return revised
