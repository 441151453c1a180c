"""Largest remainder (Hamilton): whole units that add up exactly.

Every part gets the whole units of its exact amount; the units that are left go one each to the largest
remainders, ties in the order of the keys. No part is moved by a whole unit.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import TypeVar

Key = TypeVar("Key", bound="str | tuple[str, ...]")


def apportion(exact: Mapping[Key, Fraction], total: int) -> dict[Key, int]:
    """Round amounts to whole units that add up to the total.

    Args:
        exact: Amounts, none negative, that add up to `total` exactly.
        total: Whole units.

    Returns:
        Each key's units, in the order of the keys.
    """
    assert sum(exact.values()) == total, "amounts add up to the total"
    assert all(amount >= 0 for amount in exact.values()), "no amount is negative"
    units = {key: int(amount) for key, amount in sorted(exact.items())}
    left = total - sum(units.values())
    by_remainder = sorted(units, key=lambda key: (units[key] - exact[key], key))
    for key in by_remainder[:left]:
        units[key] += 1
    return units
