"""Holds and disputes: their records in the journal, and those in force after any record."""

from dataclasses import dataclass, field, replace
from typing import Literal

from byline.api.holds import Nature, Subject
from byline_service.compensation.event import Stored
from byline_service.compensation.restrictions import Restriction
from byline_service.compensation.runs import RunConflict


class HoldPlaced(Stored):
    """The placement of a hold."""

    kind: Literal["hold"] = "hold"
    """Kind of the record."""
    hold: str
    """Id of the hold."""
    subject: Subject
    """Owner or work."""
    nature: Nature
    """`hold` or `dispute`."""
    reason: str
    """Reason in words."""


class HoldEnded(Stored):
    """The end of a hold."""

    kind: Literal["hold-ended"] = "hold-ended"
    """Kind of the record."""
    hold: str
    """Id of the hold."""
    reason: str
    """Reason in words."""


@dataclass(frozen=True, kw_only=True)
class Act:
    """A placement or an end: its record, person and reason."""

    sequence: int
    person: str
    at: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A hold with its acts."""

    id: str
    subject: Subject
    nature: Nature
    placed: Act
    ended: Act | None = None

    def in_force(self, basis: int) -> bool:
        """Return whether the hold is in force after a record.

        Args:
            basis: Sequence of the record.
        """
        return self.placed.sequence <= basis and (self.ended is None or self.ended.sequence > basis)

    def restriction(self) -> Restriction:
        """Return the effect of the hold on a division."""
        return Restriction(id=self.id, kind=self.nature, subject=self.subject)

    def end(self, act: Act) -> "Hold":
        """End the hold.

        Args:
            act: The end.

        Raises:
            RunConflict: The hold has ended.
        """
        if self.ended is not None:
            raise RunConflict("expected a hold that is in force, this one has ended")
        return replace(self, ended=act)


@dataclass
class HoldBook:
    """All holds of a journal."""

    holds: dict[str, Hold] = field(default_factory=dict)
    """Holds by id, in the order of placement."""

    def read(self, fact: HoldPlaced | HoldEnded, act: Act) -> None:
        """Read the next record about a hold.

        Args:
            fact: Content of the record.
            act: Its sequence, person and time.

        Raises:
            RunConflict: The hold was placed already, was never placed, or has ended.
        """
        known = self.holds.get(fact.hold)
        if isinstance(fact, HoldEnded):
            if known is None:
                raise RunConflict("expected a hold that was placed, this one was not")
            self.holds[fact.hold] = known.end(act)
            return
        if known is not None:
            raise RunConflict("expected a new hold, this one was placed already")
        self.holds[fact.hold] = Hold(id=fact.hold, subject=fact.subject, nature=fact.nature, placed=act)

    def restrictions(self, basis: int) -> list[Restriction]:
        """Return the effects of the holds that are in force after a record."""
        return [hold.restriction() for hold in self.holds.values() if hold.in_force(basis)]

    def ended_between(self, since: str, basis: int) -> int:
        """Count the holds that ended from a time on, up to a record."""
        ends = [hold.ended for hold in self.holds.values() if hold.ended is not None]
        return sum(since <= end.at and end.sequence <= basis for end in ends)
