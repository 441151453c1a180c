"""Rosters: the owners of an index version with their numbers of works, as the journal has them.

A training pool and the fallback `by_size` are divided by a roster, so that a payment needs the journal alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from byline.api.receipts import Owner
from byline.errors import Conflict
from byline_service.compensation.event import Stored


class Roster(Stored):
    """The owners of one version of an index."""

    index: str
    """Name of the index."""
    version: str
    """Version of the index."""
    manifest: str
    """Digest of the version's manifest."""
    sizes: Annotated[Mapping[Owner, Annotated[int, Field(strict=True, ge=1)]], Field(min_length=1)]
    """Number of rows of each owner."""


class RosterRecorded(Stored):
    """The record of a roster."""

    kind: Literal["roster"] = "roster"
    """Kind of the record."""
    roster: Roster
    """Recorded roster."""


@dataclass(frozen=True, kw_only=True)
class RosterRecord:
    """A roster and its record."""

    sequence: int
    at: str
    person: str
    roster: Roster


@dataclass
class RosterBook:
    """All rosters of a journal."""

    records: list[RosterRecord] = field(default_factory=list)
    """Records in the order of the journal."""

    def read(self, record: RosterRecord) -> None:
        """Read the next record.

        Raises:
            Conflict: The newest roster of the index is the same.
        """
        require_new(record.roster, newest(self.records, record.roster.index))
        self.records.append(record)

    def of_versions(self, versions: Sequence[tuple[str, str]], basis: int) -> dict[tuple[str, str], Roster]:
        """Return the rosters of some versions.

        Args:
            versions: Pairs of an index and a version.
            basis: Sequence of the last record that counts.
        """
        known = {
            (record.roster.index, record.roster.version): record.roster
            for record in self.records
            if record.sequence <= basis
        }
        return {version: known[version] for version in versions if version in known}

    def of_period(self, index: str, until: str, basis: int) -> Roster | None:
        """Return the roster that a training pool is divided by. See `of_period`."""
        known = [
            record for record in self.records if record.roster.index == index and record.sequence <= basis
        ]
        return of_period(known, until)


def newest(records: Sequence[RosterRecord], index: str) -> Roster | None:
    """Return the newest roster of an index. None if there is none."""
    return next((each.roster for each in reversed(records) if each.roster.index == index), None)


def require_new(roster: Roster, known: Roster | None) -> None:
    """Check that a roster differs from the newest one of its index.

    Raises:
        Conflict: It is the same.
    """
    if roster == known:
        raise Conflict("expected a version whose owners are not the recorded ones, they are: nothing to do")


def of_period(records: Sequence[RosterRecord], until: str) -> Roster | None:
    """Choose the roster of a period: the last one before its end. Without one, the first one afterwards.

    A roster that is recorded after a period cannot replace one of before its end.

    Args:
        records: Records of one index in the order of the journal.
        until: First time after the period.
    """
    before = [record for record in records if record.at < until]
    chosen = before[-1:] or records[:1]
    return chosen[0].roster if chosen else None
