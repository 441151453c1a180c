"""Division of a pool by events and a policy, into whole minor units that add up to the pool exactly.

An event is divided into 2^64 parts, by largest remainder:

    paid_j   = max(share_j - z SE_j, 0)        escrow_j = share_j - paid_j        z = Policy.z(event)
    or all of it unallocated, if no owner's sum is positive

Parts of events are added by the events' weights. The pool is then divided by the sums, again by largest remainder.
An owner's amount is therefore within one minor unit of the exact one, and every sum is exact.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar

from byline.api.receipts import Integer
from byline_service.compensation.event import Event, Stored
from byline_service.compensation.fallback import event_weights, pool_weights
from byline_service.compensation.integer_shares import exact_shares
from byline_service.compensation.policy import Policy
from byline_service.compensation.restrictions import Restrictions, held_units
from byline_service.compensation.rosters import Roster

PARTS = 1 << 64
"""Number of parts of one event."""
UNRESTRICTED = Restrictions()
"""No restriction."""
Part = tuple[str, ...]
"""`("paid", owner)`, `("escrow", owner)` or `("unallocated",)`."""


class Line(Stored):
    """One owner's amounts in a run, in minor units."""

    owner: str
    """Owner who is credited."""
    earned: Integer
    """Lower bounds of the owner's shares."""
    brought: Integer
    """Amount carried from earlier runs, since it was below the floor."""
    payable: Integer
    """Amount to pay out now: earned and brought forward without the held part, once they reach the floor."""
    carried: Integer
    """Amount that is carried to the next run, since it is below the floor."""
    escrow: Integer
    """Rest of the shares, held until they are known better."""
    held: Integer = 0
    """Part of the earned amount that a hold, a dispute or a missing consent keeps from being paid."""


class Allocation(Stored):
    """The division of a pool."""

    pool: Integer
    """Divided amount, in minor units."""
    lines: tuple[Line, ...]
    """Lines by owner, without owners who get nothing."""
    unallocated: Integer
    """Amount of the events in which no owner's sum is positive."""


def event_parts(event: Event, z: Fraction) -> dict[Part, int]:
    """Divide one event.

    Args:
        event: An event with complete coverage and a standard error.
        z: Multiplier of the standard error.

    Returns:
        Parts that add up to `PARTS`.
    """
    weights: dict[Part, int] = {}
    for owner, each in exact_shares(event).items():
        share, lower = each.bounded(z)
        weights["paid", owner] = lower
        weights["escrow", owner] = share - lower
    return apportion(weights or {("unallocated",): 1}, PARTS)


@dataclass
class PoolParts:
    """Parts that a pool is divided by."""

    parts: Counter[Part] = field(default_factory=Counter)
    held: dict[str, Fraction] = field(default_factory=dict)
    """Held ones of an owner's paid parts."""

    def pay(self, key: Part, count: int, held: Fraction | int = 0) -> None:
        """Add parts of one key.

        Args:
            key: The key.
            count: Number of parts.
            held: Fraction of them that is held. It concerns paid parts alone.
        """
        self.parts[key] += count
        if key[0] == "paid" and held:
            self.held[key[1]] = self.held.get(key[1], Fraction(0)) + count * Fraction(held)


def allocate(
    policy: Policy,
    events: Sequence[Event],
    carried: Mapping[str, int],
    left: int | None = None,
    restrictions: Restrictions = UNRESTRICTED,
    rosters: Sequence[Roster] = (),
) -> Allocation:
    """Divide a policy's pool over events.

    Args:
        policy: The policy.
        events: At least one event, all of them payable.
        carried: Amounts that owners bring from earlier runs of the policy, in minor units.
        left: Rest of the period's budget, in minor units. None for the whole budget.
        restrictions: Holds, disputes and missing consent. They move earned amounts to `held`, and change nothing else.
        rosters: Owners of the events' versions. The fallback `by_size` needs them.

    Returns:
        Lines in whole minor units. They divide no more than the rest of the budget.
    """
    wanted = policy.wanted(sum(event.weight for event in events))
    pool = PoolParts()
    by_version = {(roster.index, roster.version): roster for roster in rosters}
    for event in events:
        doubted = bool(policy.doubts(event))
        for key, count in parts_under(policy, event, by_version).items():
            all_held = doubted and policy.fallback == "hold"
            held = (
                0 if len(key) == 1 else all_held or restrictions.part(key[1], event, attributed=not doubted)
            )
            pool.pay(key, event.weight * count, held)
    return divided(policy, min(wanted, policy.budget if left is None else left), pool, carried, restrictions)


def allocate_training(
    policy: Policy, roster: Roster, until: str, carried: Mapping[str, int], restrictions: Restrictions
) -> Allocation:
    """Divide a training pool over the owners of an index.

    Args:
        policy: A policy of basis `training`.
        roster: The owners.
        until: First time after the period, for restrictions that begin at a time.
        carried: Amounts that owners bring from earlier runs of the policy, in minor units.
        restrictions: Holds, disputes and missing consent.
    """
    pool = PoolParts()
    for owner, weight in pool_weights(policy.fallback, roster).items():
        pool.pay(("paid", owner), weight, restrictions.pool_part(owner, roster, until))
    return divided(policy, policy.budget, pool, carried, restrictions)


def parts_under(
    policy: Policy, event: Event, by_version: Mapping[tuple[str, str], Roster]
) -> dict[Part, int]:
    """Divide one event by a policy's rule: by its shares, or by the fallback where they are not reliable.

    Args:
        policy: The policy.
        event: The event.
        by_version: Rosters by index and version. The fallback `by_size` needs them.

    Returns:
        Parts that add up to `PARTS`.
    """
    if policy.doubts(event):
        return fallback_parts(event_weights(policy.fallback, event, by_version))
    return event_parts(event, policy.z(event))


def fallback_parts(weights: Mapping[str, int]) -> dict[Part, int]:
    """Divide one event by weights, without a bound.

    Args:
        weights: Weights by owner. Empty leaves the event unallocated.

    Returns:
        Parts that add up to `PARTS`.
    """
    named: dict[Part, int] = {("paid", owner): weight for owner, weight in weights.items()}
    return apportion(named or {("unallocated",): 1}, PARTS)


def divided(
    policy: Policy, pool: int, by: PoolParts, carried: Mapping[str, int], restrictions: Restrictions
) -> Allocation:
    """Divide an amount by parts.

    Args:
        policy: The policy. Its floor applies.
        pool: The amount in minor units.
        by: The parts.
        carried: Amounts that owners bring from earlier runs of the policy, in minor units.
        restrictions: Holds, disputes and missing consent.
    """
    units = apportion(by.parts, pool)
    owners = sorted({key[1] for key in units if len(key) > 1} | set(carried))
    lines = (
        _line(
            Due(
                owner=owner,
                earned=(earned := units.get(("paid", owner), 0)),
                brought=carried.get(owner, 0),
                escrow=units.get(("escrow", owner), 0),
                held=held_units(earned, by.held.get(owner, Fraction(0)), by.parts["paid", owner]),
                whole=restrictions.whole(owner),
            ),
            policy.floor,
        )
        for owner in owners
    )
    return Allocation(
        pool=pool,
        lines=tuple(line for line in lines if line.earned or line.brought or line.escrow),
        unallocated=units.get(("unallocated",), 0),
    )


@dataclass(frozen=True, kw_only=True)
class Due:
    """What one owner gets from a division, before the floor."""

    owner: str
    earned: int
    brought: int
    escrow: int
    held: int
    whole: bool
    """Whether a hold is on the whole owner."""


def _line(due: Due, floor: int) -> Line:
    """Apply the floor. Under a hold on the whole owner, the carried amount stays carried."""
    held = due.earned if due.whole else due.held
    free = due.earned - held + due.brought
    payable = free if free >= floor and not due.whole else 0
    return Line(
        owner=due.owner,
        earned=due.earned,
        brought=due.brought,
        payable=payable,
        carried=free - payable,
        escrow=due.escrow,
        held=held,
    )


Key = TypeVar("Key", bound="str | tuple[str, ...]")


def apportion(weights: Mapping[Key, int], total: int) -> dict[Key, int]:
    """Divide whole units in proportion to weights, by largest remainder (Hamilton).

    Each key gets the whole units of its exact amount. The units that are left go one each to the largest remainders,
    ties in the order of the keys, so no amount is moved by a whole unit.

    Args:
        weights: Weights that are not negative, at least one of them positive. The exact amount of a key is
            total x weight / sum of weights.
        total: Number of units.

    Returns:
        Units of each key, in the order of the keys. They add up to `total`.
    """
    assert all(weight >= 0 for weight in weights.values()), "no weight is negative"
    whole = sum(weights.values())
    divided = {key: divmod(total * weight, whole) for key, weight in sorted(weights.items())}
    units = {key: quotient for key, (quotient, _) in divided.items()}
    by_remainder = sorted(divided, key=lambda key: (-divided[key][1], key))
    for key in by_remainder[: total - sum(units.values())]:
        units[key] += 1
    return units
