"""Largest remainder (Hamilton): whole units that add up exactly.

Every part gets the whole units of its exact amount; the units that are left go one each to the largest
remainders, ties in the order of the keys. No part is moved by a whole unit.
"""

from collections.abc import Mapping
from typing import TypeVar

Key = TypeVar("Key", bound="str | tuple[str, ...]")


def apportion(weights: Mapping[Key, int], total: int) -> dict[Key, int]:
    """Divide whole units in proportion to weights.

    Args:
        weights: None negative, one at least positive. The exact amount of a part is total x weight / sum of weights.
        total: Whole units.

    Returns:
        Each key's units, in the order of the keys; they add up to `total`.
    """
    assert all(weight >= 0 for weight in weights.values()), "no weight is negative"
    whole = sum(weights.values())
    divided = {key: divmod(total * weight, whole) for key, weight in sorted(weights.items())}
    units = {key: quotient for key, (quotient, _) in divided.items()}
    by_remainder = sorted(divided, key=lambda key: (-divided[key][1], key))
    for key in by_remainder[: total - sum(units.values())]:
        units[key] += 1
    return units
