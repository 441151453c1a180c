"""Drafts of statements. The same functions draft a run and recompute it from the journal."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from byline.api.currencies import LARGEST_AMOUNT
from byline.api.statements import RefusedEvent
from byline.errors import InvalidInput
from byline_service.compensation.allocation import allocate
from byline_service.compensation.eligibility import not_payable
from byline_service.compensation.event import Event
from byline_service.compensation.policy import Policy
from byline_service.compensation.runs import Balances, Run, RunConflict
from byline_service.compensation.statements import (
    AllocationStatement,
    EventRef,
    ReleaseLine,
    ReleaseStatement,
    ReversalStatement,
)

MOST_EVENTS = 10_000
"""Most events of one run."""
MOST_SCORES = 10_000_000
"""Most scores (owners x members, summed over the events) of one run: about half a gigabyte."""


@dataclass(frozen=True, kw_only=True)
class Period:
    """The events of a run, and the state of the ledger at its draft."""

    since: str | None
    """First time of the period. None for no lower limit."""
    until: str
    """First time after the period."""
    basis: int
    """Sequence of the last journal record that counts."""


def draft_allocation(
    policy: Policy,
    period: Period,
    events: Sequence[Event],
    carried: Mapping[str, int],
    repeated: Collection[str] = frozenset(),
) -> AllocationStatement:
    """Divide a pool over the payable events of a period.

    Args:
        policy: The policy.
        period: The period of the events.
        events: Every event of the period that the policy covers and that no posted run of it has paid for.
        carried: Amounts below the floor, by owner.
        repeated: Ids of events whose reference an earlier event of the policy's indexes has.

    Returns:
        The statement.

    Raises:
        NotPayable: None of the events can be paid for.
        InvalidInput: There are no events, or too many.
    """
    if not events:
        raise InvalidInput("expected events in the period that no posted run has paid for, found none")
    if len(events) > MOST_EVENTS:
        raise InvalidInput(
            f"expected at most {MOST_EVENTS} events in one run, found more: choose a shorter period"
        )
    reasons = [policy.refusals(event, repeated) for event in events]
    payable = [event for event, why in zip(events, reasons, strict=True) if not why]
    if not payable:
        raise not_payable([each for why in reasons for each in why], "every event of the period")
    if policy.spread == "event" and policy.pool * sum(event.weight for event in payable) > LARGEST_AMOUNT:
        raise InvalidInput(
            f"expected events that cost at most {LARGEST_AMOUNT} minor units together, got a larger sum"
        )
    return AllocationStatement(
        policy=policy,
        since=period.since,
        until=period.until,
        basis=period.basis,
        events=tuple(EventRef(id=event.id, digest=event.sha256, asked=event.asked) for event in payable),
        refused=tuple(
            RefusedEvent(id=event.id, reasons=why) for event, why in zip(events, reasons, strict=True) if why
        ),
        allocation=allocate(policy, payable, carried),
    )


def draft_release(
    policy: Policy, reason: str, amounts: Mapping[str, int] | None, balances: Balances
) -> ReleaseStatement:
    """Release escrow.

    Args:
        policy: The policy of the escrow accounts.
        reason: The reason, in words.
        amounts: Minor units by owner. None releases all of it.
        balances: Balances of the policy's accounts.

    Returns:
        The statement.

    Raises:
        RunConflict: An escrow account holds less, or all are empty.
    """
    held = {
        owner: have for (account, owner), have in balances.items() if account == "escrow" and owner and have
    }
    wanted = held if amounts is None else amounts
    if not wanted:
        raise RunConflict("expected escrow to release, found none")
    if any(amount > held.get(owner, 0) for owner, amount in wanted.items()):
        raise RunConflict("expected amounts of at most what each owner has in escrow, got more for one")
    lines = (ReleaseLine(owner=owner, amount=amount) for owner, amount in sorted(wanted.items()))
    return ReleaseStatement(policy=policy, reason=reason, lines=tuple(lines))


def draft_reversal(run: Run, reason: str) -> ReversalStatement:
    """Reverse a posted run.

    Args:
        run: A posted run that is not a reversal.
        reason: The reason, in words.

    Returns:
        The statement.

    Raises:
        RunConflict: The run is not posted, or is a reversal.
    """
    if run.state != "posted" or isinstance(run.statement, ReversalStatement):
        raise RunConflict("expected a posted run that is not a reversal")
    statement = run.statement
    return ReversalStatement(policy=statement.policy, reason=reason, run=run.id, posted=statement.entries())
