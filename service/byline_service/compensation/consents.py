"""Consent: the status of works over time, and the restrictions that follow.

A status holds from its time until the next one of the same works. `allowed` holds from the time of its record at the
earliest, so that it never frees the amounts of events before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Annotated, Literal

from pydantic import Field

from byline.api.consents import ConsentStatus
from byline.api.holds import Subject
from byline_service.compensation.event import Stored
from byline_service.compensation.restrictions import Restriction
from byline_service.compensation.timestamps import TimestampText


class Consent(Stored):
    """The consent for an owner's works of an index, or for one work."""

    subject: Subject
    """Owner, index and work."""
    version: str | None
    """Version of the index. Null means every version."""
    status: ConsentStatus
    """Status of the works."""
    since: TimestampText
    """Time from which the status holds."""
    source: str
    """Source of the status."""


class ConsentsFact(Stored):
    """The record of some consents."""

    kind: Literal["consents"] = "consents"
    """Kind of the record."""
    consents: Annotated[tuple[Consent, ...], Field(min_length=1)]
    """Recorded consents."""


@dataclass(frozen=True, kw_only=True)
class ConsentRecord:
    """A consent, and its place in the journal."""

    sequence: int
    line: int
    """Place within the record, from 1."""
    person: str
    at: str
    consent: Consent

    @property
    def since(self) -> str:
        """Return the time from which the status holds."""
        since = self.consent.since
        return max(since, self.at) if self.consent.status == "allowed" else since


@dataclass
class ConsentBook:
    """All consents of a journal."""

    records: list[ConsentRecord] = field(default_factory=list)

    def read(self, fact: ConsentsFact, sequence: int, person: str, at: str) -> None:
        """Read the next record."""
        self.records += records_of(fact, sequence, person, at)

    def restrictions(self, basis: int) -> list[Restriction]:
        """Return the restrictions by the records up to a sequence."""
        return restrictions_of(self._upto(basis))

    def allowed_between(self, since: str, basis: int) -> int:
        """Count the consents that ended a restriction from a time on, by the records up to a sequence."""
        return allowed_since(self._upto(basis), since)

    def _upto(self, basis: int) -> list[ConsentRecord]:
        return [record for record in self.records if record.sequence <= basis]


def records_of(fact: ConsentsFact, sequence: int, person: str, at: str) -> list[ConsentRecord]:
    """Give each consent of a record its place."""
    return [
        ConsentRecord(sequence=sequence, line=line, person=person, at=at, consent=consent)
        for line, consent in enumerate(fact.consents, start=1)
    ]


def restrictions_of(records: Iterable[ConsentRecord]) -> list[Restriction]:
    """Return the times at which works are prohibited or their license has expired.

    Args:
        records: Consents. At one time, the later record counts.
    """
    found = [each for same in _by_works(records) for each in _intervals(same)]
    return sorted(found, key=lambda each: each.id)


def allowed_since(records: Iterable[ConsentRecord], since: str) -> int:
    """Count the consents that ended a restriction.

    Args:
        records: Consents.
        since: Only those from this time on.
    """
    pairs = [pair for same in _by_works(records) for pair in pairwise(same)]
    return sum(
        before.consent.status != "allowed" == after.consent.status and after.since >= since
        for before, after in pairs
    )


def _by_works(records: Iterable[ConsentRecord]) -> list[list[ConsentRecord]]:
    """Return the consents of the same works together, in the order of their times."""
    ordered = sorted(records, key=lambda each: (_works(each), each.since, each.sequence, each.line))
    return [list(same) for _, same in groupby(ordered, key=_works)]


def _works(record: ConsentRecord) -> tuple[str, str, str, str]:
    subject = record.consent.subject
    return subject.owner, subject.index or "", subject.work or "", record.consent.version or ""


def _intervals(same: Sequence[ConsentRecord]) -> list[Restriction]:
    found = []
    for record, following in zip(same, [*same[1:], None], strict=True):
        consent, until = record.consent, None if following is None else following.since
        if consent.status != "allowed" and record.since != until:
            found.append(
                Restriction(
                    id=f"consent-{record.sequence}-{record.line}",
                    kind=consent.status,
                    subject=consent.subject,
                    version=consent.version,
                    since=record.since,
                    until=until,
                )
            )
    return found
