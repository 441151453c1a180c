"""Restrictions: holds, disputes and missing consent. They never change a division, only the account of its amounts.

    held_j = earned_j                               the whole owner is held
    held_j = ceil(earned_j sum_e h_ej / sum_e p_ej)   otherwise

p_ej are the parts that owner j gets from event e, h_ej those of them that a restriction covers. Every other amount is
the same to the unit as without a restriction.
"""

from collections.abc import Collection, Iterable, Iterator
from fractions import Fraction
from math import ceil
from typing import Literal

from byline.api.holds import Subject
from byline_service.compensation.event import Event, Stored
from byline_service.compensation.rosters import Roster
from byline_service.compensation.timestamps import TimestampText
from byline_service.compensation.works import largest_part

RestrictionKind = Literal["hold", "dispute", "prohibited", "expired"]


class Restriction(Stored):
    """A hold, a dispute or a missing consent, as a statement stores it."""

    id: str
    """Id of the hold, or of the record of the consent."""
    kind: RestrictionKind
    """Kind of the restriction."""
    subject: Subject
    """Owner or work."""
    version: str | None = None
    """Version of the index. Null covers every version."""
    since: TimestampText | None = None
    """First time of the events that it covers. Null covers events of any time."""
    until: TimestampText | None = None
    """First time after them. Null if there is no end."""

    @property
    def whole(self) -> bool:
        """Return whether all amounts of the owner are held, those below the floor too."""
        return self.subject.index is None and self.since is None

    def covers(self, index: str, version: str, at: str) -> bool:
        """Return whether the subject's amounts from a version of an index at a time are held."""
        here = self.subject.index in (None, index) and self.version in (None, version)
        return here and (self.since is None or self.since <= at) and (self.until is None or at < self.until)


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

    def part(self, owner: str, event: Event, *, attributed: bool = True) -> Fraction:
        """Return the part of an owner's amount from an event that is held.

        Restricted works hold the largest part of the share that they can have. Without attribution they hold all of it.

        Args:
            owner: The owner.
            event: The event.
            attributed: Whether the amount follows the event's scores.
        """
        covering = list(self._covering(owner, event.index, event.version, event.booked_at))
        works = {one.subject.work for one in covering}
        if not covering or None in works or not attributed:
            return Fraction(bool(covering))
        return largest_part(event, owner, {work for work in works if work is not None})

    def pool_part(self, owner: str, roster: Roster, end: str) -> Fraction:
        """Return the part of an owner's amount from a training pool that is held.

        Args:
            owner: The owner.
            roster: The owners of the pool with their numbers of works.
            end: End of the period.
        """
        covering = list(self._covering(owner, roster.index, roster.version, end))
        works = {one.subject.work for one in covering}
        return Fraction(1) if None in works else min(Fraction(1), Fraction(len(works), roster.sizes[owner]))

    def _covering(self, owner: str, index: str, version: str, at: str) -> Iterator[Restriction]:
        return (one for one in self._by_owner.get(owner, ()) if one.covers(index, version, at))

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
