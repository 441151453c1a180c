"""Drafting statements: the same functions draft a run and, from what is stored, recompute it."""

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
    """Which events a run looks at, and what the ledger said then."""

    since: str | None
    """First moment; None for all before."""
    until: str
    """First moment after it."""
    basis: int
    """Sequence of the last journal record that counts."""


def draft_allocation(
    policy: Policy,
    period: Period,
    events: Sequence[Event],
    carried: Mapping[str, int],
    quarantined: Collection[tuple[str, str]] = frozenset(),
) -> AllocationStatement:
    """Divide a pool over what can be paid for.

    Args:
        policy: How.
        period: Where the events are from.
        events: Every event of the period that the policy covers and that no posted run of it has paid for.
        carried: What owners have below the floor.
        quarantined: (index, version) of versions that are quarantined.

    Returns:
        The statement.

    Raises:
        NotPayable: None of the events can be paid for.
        InvalidInput: There is no event, or there are too many.
    """
    if not events:
        raise InvalidInput("expected events in the period that no posted run has paid for, found none")
    if len(events) > MOST_EVENTS:
        raise InvalidInput(
            f"expected at most {MOST_EVENTS} events in one run, found more: take a shorter period"
        )
    reasons = [policy.refusals(event, quarantined) for event in events]
    payable = [event for event, why in zip(events, reasons, strict=True) if not why]
    if not payable:
        raise not_payable([each for why in reasons for each in why], "every event of the period")
    if policy.spread == "event" and policy.pool * sum(event.weight for event in payable) > LARGEST_AMOUNT:
        raise InvalidInput(
            f"expected events that cost at most {LARGEST_AMOUNT} minor units together, they cost more"
        )
    return AllocationStatement(
        policy=policy,
        since=period.since,
        until=period.until,
        basis=period.basis,
        events=tuple(EventRef(id=event.id, digest=event.sha256) for event in payable),
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
        policy: Whose escrow.
        reason: Why, in words.
        amounts: Minor units by owner; None releases all of it.
        balances: The policy's accounts.

    Returns:
        The statement.

    Raises:
        RunConflict: There is less in escrow, or nothing.
    """
    held = {
        owner: have for (account, owner), have in balances.items() if account == "escrow" and owner and have
    }
    wanted = held if amounts is None else amounts
    if not wanted:
        raise RunConflict("expected escrow to release, there is none")
    if any(amount > held.get(owner, 0) for owner, amount in wanted.items()):
        raise RunConflict("expected amounts of at most what each owner has in escrow, got more for one")
    lines = (ReleaseLine(owner=owner, amount=amount) for owner, amount in sorted(wanted.items()))
    return ReleaseStatement(policy=policy, reason=reason, lines=tuple(lines))


def draft_reversal(run: Run, reason: str) -> ReversalStatement:
    """Take a posted run back.

    Args:
        run: Posted; not a reversal itself.
        reason: Why, in words.

    Returns:
        The statement.

    Raises:
        RunConflict: The run is not posted, or is a reversal.
    """
    if run.state != "posted" or isinstance(run.statement, ReversalStatement):
        raise RunConflict("expected a posted run that is no reversal itself")
    statement = run.statement
    return ReversalStatement(policy=statement.policy, reason=reason, run=run.id, posted=statement.entries())
