"""Restrictions: holds, disputes and missing consent. They never change a division, only the account of its amounts.

    held_j = earned_j                               the whole owner is held
    held_j = ceil(earned_j sum_e h_ej / sum_e p_ej)   otherwise

p_ej are the parts that owner j gets from event e, h_ej those of them that a restriction covers. Every other amount is
the same to the unit as without a restriction.
"""

from collections.abc import Collection, Iterable
from fractions import Fraction
from math import ceil
from typing import Literal

from byline.api.holds import Subject
from byline_service.compensation.event import Stored
from byline_service.compensation.timestamps import TimestampText

RestrictionKind = Literal["hold", "dispute", "prohibited", "expired"]


class Restriction(Stored):
    """A hold, a dispute or a missing consent, as a statement stores it."""

    id: str
    """Id of the hold, or of the record of the consent."""
    kind: RestrictionKind
    """Kind of the restriction."""
    subject: Subject
    """Owner or work."""
    since: TimestampText | None = None
    """First time of the events that it covers. Null covers events of any time."""

    @property
    def whole(self) -> bool:
        """Return whether all amounts of the owner are held, those below the floor too."""
        return self.subject.index is None and self.since is None

    def covers(self, index: str, at: str) -> bool:
        """Return whether the subject's amounts from an index at a time are held."""
        return self.subject.index in (None, index) and (self.since is None or self.since <= at)


class Restrictions:
    """The restrictions of one division, by owner.

    Args:
        each: Restrictions that are in force.
    """

    def __init__(self, each: Iterable[Restriction] = ()) -> None:
        self._by_owner: dict[str, list[Restriction]] = {}
        for one in each:
            self._by_owner.setdefault(one.subject.owner, []).append(one)

    def whole(self, owner: str) -> bool:
        """Return whether all amounts of an owner are held."""
        return any(one.whole for one in self._by_owner.get(owner, ()))

    def part(self, owner: str, index: str, at: str) -> Fraction:
        """Return the part of an owner's amount from an event or a period that is held.

        A work's own part of the amount is not known, so a hold of a work holds the owner's whole amount from the event.

        Args:
            owner: The owner.
            index: Index of the event or of the training pool.
            at: Time of the event, or the end of the period.
        """
        return Fraction(any(one.covers(index, at) for one in self._by_owner.get(owner, ())))

    def about(self, owners: Collection[str]) -> tuple[Restriction, ...]:
        """Return the restrictions of some owners, ordered by id."""
        found = [one for owner in owners for one in self._by_owner.get(owner, ())]
        return tuple(sorted(found, key=lambda one: one.id))


def held_units(earned: int, held: Fraction, paid: int) -> int:
    """Return the held part of an amount, rounded up.

    Args:
        earned: The amount in minor units.
        held: Parts of the events that restrictions cover.
        paid: All parts that the amount is for.
    """
    return ceil(earned * held / paid) if held else 0
