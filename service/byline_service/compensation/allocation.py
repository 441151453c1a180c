"""Division of a pool by events and a policy, into whole minor units that add up to the pool exactly.

An event is divided into 2^64 parts, by largest remainder:

    paid_j   = max(share_j - z SE_j, 0)        escrow_j = share_j - paid_j        z = Policy.z(event)
    or all of it unallocated, if no owner's sum is positive

Parts of events are added by the events' weights. The pool is then divided by the sums, again by largest remainder.
An owner's amount is therefore within one minor unit of the exact one, and every sum is exact.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

from byline.api.receipts import Integer
from byline_service.compensation.event import Event, Stored
from byline_service.compensation.integer_shares import exact_shares
from byline_service.compensation.policy import Policy

PARTS = 1 << 64
"""Number of parts of one event."""
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
    """Amount to pay out now: earned and brought forward, once they reach the floor."""
    carried: Integer
    """Amount that is carried to the next run, since it is below the floor."""
    escrow: Integer
    """Rest of the shares, held until they are known better."""


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


def allocate(
    policy: Policy, events: Sequence[Event], carried: Mapping[str, int], left: int | None = None
) -> Allocation:
    """Divide a policy's pool over events.

    Args:
        policy: The policy.
        events: At least one event, all of them payable.
        carried: Amounts that owners bring from earlier runs of the policy, in minor units.
        left: Rest of the period's budget, in minor units. None for the whole budget.

    Returns:
        Lines in whole minor units. They divide no more than the rest of the budget.
    """
    wanted = policy.wanted(sum(event.weight for event in events))
    pool = min(wanted, policy.budget if left is None else left)
    parts: Counter[Part] = Counter()
    for event in events:
        for key, count in event_parts(event, policy.z(event)).items():
            parts[key] += event.weight * count
    units = apportion(parts, pool)
    owners = sorted({key[1] for key in units if len(key) > 1} | set(carried))
    lines = (_line(owner, units, carried.get(owner, 0), policy.floor) for owner in owners)
    return Allocation(
        pool=pool,
        lines=tuple(line for line in lines if line.earned or line.brought or line.escrow),
        unallocated=units.get(("unallocated",), 0),
    )


def _line(owner: str, units: Mapping[Part, int], brought: int, floor: int) -> Line:
    earned = units.get(("paid", owner), 0)
    due = earned + brought
    payable = due if due >= floor else 0
    return Line(
        owner=owner,
        earned=earned,
        brought=brought,
        payable=payable,
        carried=due - payable,
        escrow=units.get(("escrow", owner), 0),
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
