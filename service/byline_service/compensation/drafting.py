"""Drafts of statements. The same functions draft a run and recompute it from the journal."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from byline.api.compensation import Reason
from byline.api.statements import RefusedEvent, ReleasedAccount, StoredWarning, WarningKind
from byline.errors import InvalidInput
from byline_service.compensation.allocation import Allocation, allocate, allocate_training
from byline_service.compensation.budgets import (
    NOTHING_SPENT,
    Division,
    Spending,
    require_begun,
    require_unpaid,
)
from byline_service.compensation.calendar import Period
from byline_service.compensation.eligibility import not_payable
from byline_service.compensation.event import Event
from byline_service.compensation.policy import Policy
from byline_service.compensation.restrictions import Restriction, Restrictions
from byline_service.compensation.rights import Split, last_day
from byline_service.compensation.rosters import Roster
from byline_service.compensation.runs import Balances, Run, RunConflict
from byline_service.compensation.splits import NO_SHARES, PartyShares
from byline_service.compensation.statements import (
    AllocationStatement,
    EventRef,
    ReleaseLine,
    ReleaseStatement,
    ReversalStatement,
    period_of,
)

MOST_EVENTS = 10_000
"""Most events of one run."""
MOST_SCORES = 10_000_000
"""Most scores (owners x members, summed over the events) of one run: about half a gigabyte."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Everything that the division of a period depends on, as of one journal record."""

    kind: Division
    """`allocation` or `adjustment`."""
    period: Period
    """The period."""
    basis: int
    """Sequence of the last journal record that counts."""
    events: Sequence[Event]
    """Every event of the period that the policy covers and that no posted run of its group has paid for."""
    late: Sequence[Event] = ()
    """Such events of earlier, paid periods."""
    late_waiting: int = 0
    """Number of late events beyond the limits of a run."""
    earlier: int = 0
    """Number of such events of earlier periods that no posted run has paid."""
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    """Other policies of the group, with the number of the period's events that they have paid for."""
    other_groups: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Events that are paid for in other groups, with the policies that paid."""
    carried: Mapping[str, int] = field(default_factory=dict)
    """Amounts below the floor, by owner."""
    spending: Spending = NOTHING_SPENT
    """Part of the period's budget that is spent."""
    budget: int
    """Budget of the period, in minor units."""
    founded: str
    """Time of the policy's first revision."""
    repeated: Collection[str] = frozenset()
    """Ids of events whose reference an earlier event of the policy's indexes has."""
    restrictions: Sequence[Restriction] = ()
    """Holds, disputes and missing consent that are in force."""
    holds_ended: int = 0
    """Number of holds that ended since the period began, and of consents that ended a restriction."""
    rosters: Sequence[Roster] = ()
    """Owners of the events' versions, or of the index of a training pool."""
    shares: PartyShares = NO_SHARES
    """Rights tables of the policy's indexes, and aliases of owners."""


def late_within(own: Sequence[int], late: Sequence[int]) -> int:
    """Return the number of late events that fit into a run beside its own events.

    Args:
        own: Numbers of scores (owners x members) of the run's own events.
        late: Numbers of scores of the late events, the oldest first.
    """
    scores, count = sum(own), 0
    for size in late[: max(0, MOST_EVENTS - len(own))]:
        scores += size
        if scores > MOST_SCORES:
            break
        count += 1
    return count


def size_of(event: Event) -> int:
    """Return the number of an event's scores: owners x members."""
    return len(event.scores) * len(event.members)


def draft_allocation(policy: Policy, found: Candidates) -> AllocationStatement:
    """Divide what a period's budget has left over the payable events of the period, and over late events.

    Args:
        policy: The policy.
        found: The events, and the state of the ledger.

    Returns:
        The statement.

    Raises:
        NotPayable: None of the events can be paid for.
        InvalidInput: There are no events, or too many.
        RunConflict: The period is paid, or nothing is left of its budget.
    """
    if policy.basis == "training":
        return _draft_training(policy, found)
    require_unpaid(found.kind, found.spending)
    if not (found.events or found.late):
        raise InvalidInput(_without_events(found))
    if len(found.events) > MOST_EVENTS:
        raise InvalidInput(
            f"expected at most {MOST_EVENTS} events in one run, found more: create policies with shorter periods or "
            "fewer indexes"
        )
    refused = _refused(policy, found)
    late = [event for event in found.late if event.id not in refused]
    payable = late + [event for event in found.events if event.id not in refused]
    if not payable:
        raise not_payable([each for why in refused.values() for each in why], "every event of the period")
    left = _left(found)
    restrictions = Restrictions(found.restrictions)
    rosters = _used_rosters(policy, found, payable)
    allocation = allocate(policy, payable, found.carried, left, restrictions, rosters)
    splits = _splits(found, allocation)
    return AllocationStatement(
        kind=found.kind,
        policy=policy,
        period=found.period.name,
        since=found.period.since,
        until=found.period.until,
        basis=found.basis,
        budget=found.budget,
        spent=found.spending.spent,
        late=len(late),
        events=tuple(
            EventRef(id=event.id, digest=event.sha256, asked=event.asked, doubts=policy.doubts(event))
            for event in payable
        ),
        rosters=rosters,
        refused=tuple(RefusedEvent(id=event, reasons=why) for event, why in refused.items()),
        allocation=allocation,
        splits=splits,
        restrictions=restrictions.about(_payees((line.owner for line in allocation.lines), splits)),
        warnings=_warnings(policy, found, payable, allocation, splits),
    )


def _draft_training(policy: Policy, found: Candidates) -> AllocationStatement:
    """Divide a training pool over the owners of its index. No events are needed."""
    if found.kind == "adjustment":
        raise InvalidInput(
            "expected an allocation of a training pool, got an adjustment: it has no late events"
        )
    require_begun(found.period, found.founded)
    require_unpaid(found.kind, found.spending)
    if not found.rosters:
        raise InvalidInput(
            "expected the recorded owners of the policy's index, found none: send POST /v1/indexes/{name}/rosters"
        )
    (roster,) = found.rosters
    restrictions = Restrictions(found.restrictions)
    allocation = allocate_training(policy, roster, found.period.until, found.carried, restrictions)
    splits = _splits(found, allocation)
    return AllocationStatement(
        policy=policy,
        period=found.period.name,
        since=found.period.since,
        until=found.period.until,
        basis=found.basis,
        budget=found.budget,
        spent=0,
        late=0,
        events=(),
        refused=(),
        rosters=(roster,),
        allocation=allocation,
        splits=splits,
        restrictions=restrictions.about(_payees((line.owner for line in allocation.lines), splits)),
        warnings=_warnings(policy, found, (), allocation, splits),
    )


def _splits(found: Candidates, allocation: Allocation) -> tuple[Split, ...]:
    amounts = {line.owner: line.payable for line in allocation.lines}
    return found.shares.splits(amounts, last_day(found.period.until))


def _payees(owners: Iterable[str], splits: Iterable[Split]) -> list[str]:
    """Return the owners of lines and the parties of their splits, sorted."""
    return sorted({*owners, *(split.party for split in splits if split.party is not None)})


def _unclaimed(splits: Iterable[Split]) -> int:
    return sum(split.amount for split in splits if split.party is None)


def _left(found: Candidates) -> int:
    left = found.budget - found.spending.spent
    if left <= 0 < found.spending.spent:
        raise RunConflict(
            "expected a period with a rest of its budget, all of it is spent: reverse a run first"
        )
    return left


def _used_rosters(policy: Policy, found: Candidates, payable: Sequence[Event]) -> tuple[Roster, ...]:
    if policy.fallback != "by_size":
        return ()
    used = {(event.index, event.version) for event in payable if policy.doubts(event)}
    return tuple(roster for roster in found.rosters if (roster.index, roster.version) in used)


def versions_by_size(policy: Policy, events: Sequence[Event]) -> list[tuple[str, str]]:
    """Return the versions whose rosters the fallback `by_size` needs, sorted.

    Args:
        policy: The policy.
        events: Events of the draft.
    """
    if policy.fallback != "by_size":
        return []
    return sorted({(event.index, event.version) for event in events if policy.doubts(event)})


def _without_events(found: Candidates) -> str:
    """Say that a period has no events, and where its events went."""
    paid = "".join(
        f"; policy {policy} has paid for {count} of them" for policy, count in sorted(found.elsewhere.items())
    )
    return (
        f"expected events in the period {found.period.name} that no posted run has paid for, found none{paid}"
    )


def _refused(policy: Policy, found: Candidates) -> dict[str, tuple[Reason, ...]]:
    known = {(roster.index, roster.version) for roster in found.rosters}
    reasons = {}
    for event in (*found.late, *found.events):
        why = policy.refusals(event, found.repeated)
        sized = policy.fallback != "by_size" or not policy.doubts(event)
        unknown = not sized and (event.index, event.version) not in known
        reasons[event.id] = (*why, Reason.NO_ROSTER) if unknown else why
    return {event: why for event, why in reasons.items() if why}


def _warnings(
    policy: Policy,
    found: Candidates,
    payable: Sequence[Event],
    allocation: Allocation,
    splits: Sequence[Split],
) -> tuple[StoredWarning, ...]:
    pool = allocation.pool
    others = Counter(policy for event in payable for policy in found.other_groups.get(event.id, ()))
    wanted = policy.wanted(sum(event.weight for event in payable))
    doubted = sum(bool(policy.doubts(event)) for event in payable)
    before = {event.id for event in found.late}
    late = sum(event.id in before for event in payable)
    refused = len(found.events) + late - len(payable)
    said = [
        StoredWarning(kind="refused", events=refused),
        StoredWarning(kind="late", events=late),
        StoredWarning(kind="late_refused", events=len(before) - late),
        StoredWarning(kind="late_waiting", events=found.late_waiting),
        StoredWarning(kind="earlier_unpaid", events=found.earlier),
        *_by_policy("paid_elsewhere", found.elsewhere),
        *_by_policy("paid_in_other_group", others),
        StoredWarning(kind="budget_exceeded", amount=wanted - pool),
        StoredWarning(kind="budget_left", amount=found.budget - found.spending.spent - pool),
        StoredWarning(kind="fallback", events=doubted),
        StoredWarning(kind="held", amount=sum(line.held for line in allocation.lines)),
        StoredWarning(kind="unclaimed", amount=_unclaimed(splits)),
        StoredWarning(kind="holds_ended", events=found.holds_ended),
    ]
    return tuple(each for each in said if each.events or each.amount)


def _by_policy(kind: WarningKind, counts: Mapping[str, int]) -> list[StoredWarning]:
    return [
        StoredWarning(kind=kind, events=count, policy=policy)
        for policy, count in sorted(counts.items())
        if count
    ]


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release that a person asks for."""

    account: ReleasedAccount = "escrow"
    """Account that is paid out."""
    reason: str
    """Reason in words."""
    amounts: Mapping[str, int] | None = None
    """Minor units by owner. None releases the whole account of every owner without a restriction."""


def draft_release(
    policy: Policy,
    wanted: Release,
    balances: Balances,
    day: str,
    restrictions: Sequence[Restriction] = (),
    shares: PartyShares = NO_SHARES,
) -> ReleaseStatement:
    """Release escrow or held amounts.

    Args:
        policy: The policy of the accounts.
        wanted: Account, reason and amounts.
        balances: Balances of the policy's accounts.
        day: Day of the draft in UTC, as `2026-03-31`.
        restrictions: Holds, disputes and missing consent that are in force.
        shares: Rights tables of the policy's indexes, and aliases of owners.

    Returns:
        The statement.

    Raises:
        RunConflict: An account holds less, or there is nothing to release.
    """
    known = Restrictions(restrictions)
    have = {
        owner: amount
        for (account, owner), amount in balances.items()
        if account == wanted.account and owner and amount
    }
    amounts = wanted.amounts
    if amounts is None:
        amounts = {owner: amount for owner, amount in have.items() if not known.about([owner])}
    if not amounts:
        raise RunConflict(
            f"expected an amount in `{wanted.account}` to release, found none"
            + (": name the amounts of owners with a hold, a dispute or a missing consent" if have else "")
        )
    if any(amount > have.get(owner, 0) for owner, amount in amounts.items()):
        raise RunConflict(f"expected amounts of at most what each owner has in `{wanted.account}`, got more")
    in_spite = sum(amount for owner, amount in amounts.items() if known.about([owner]))
    splits = shares.splits(amounts, day)
    said = [
        StoredWarning(kind="released_in_spite", amount=in_spite),
        StoredWarning(kind="unclaimed", amount=_unclaimed(splits)),
    ]
    return ReleaseStatement(
        policy=policy,
        account=wanted.account,
        reason=wanted.reason,
        restrictions=known.about(_payees(amounts, splits)),
        warnings=tuple(each for each in said if each.amount),
        lines=tuple(ReleaseLine(owner=owner, amount=amount) for owner, amount in sorted(amounts.items())),
        day=day,
        splits=splits,
    )


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
    return ReversalStatement(
        policy=statement.policy,
        reason=reason,
        run=run.id,
        period=period_of(statement),
        posted=statement.entries(),
    )
