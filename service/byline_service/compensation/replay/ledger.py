"""The state of the ledger after some records of the journal, as their replay finds it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date

from byline.errors import InvalidInput
from byline_service.compensation.budgets import PeriodRun
from byline_service.compensation.consents import ConsentBook
from byline_service.compensation.event import Event
from byline_service.compensation.holds import HoldBook
from byline_service.compensation.journal import GENESIS
from byline_service.compensation.parties import PartyBook, of_every_label
from byline_service.compensation.period_events import BookedEvent, Claims
from byline_service.compensation.policy import Policy
from byline_service.compensation.restrictions import Restriction
from byline_service.compensation.rights import RightsBook
from byline_service.compensation.rosters import RosterBook
from byline_service.compensation.runs import AccountKey, Run
from byline_service.compensation.splits import PartyShares, shares_at
from byline_service.compensation.statements import Entry
from byline_service.signing.keys import PublicKey


@dataclass(frozen=True)
class Finding:
    """An error in the stored ledger."""

    where: str
    """Table and row: `journal 12`, `events …`."""
    what: str
    """Description of the error."""


@dataclass(frozen=True)
class PostedRun:
    """An entry of a posted run."""

    sequence: int
    line: int
    run: str
    policy: Policy
    entry: Entry


@dataclass(frozen=True)
class Stamp:
    """Person and time of a record."""

    sequence: int
    person: str
    at: str
    key: str | None
    comment: str | None = None


@dataclass(frozen=True)
class Confirmation:
    """The bank's statement of a payout."""

    run: str
    reference: str
    value_date: date
    stamp: Stamp


@dataclass
class ReplayedLedger:
    """The state of the ledger after the records that were read."""

    findings: list[Finding] = field(default_factory=list)
    head: tuple[int, str] = (0, GENESIS)
    """Sequence and hash of the last record."""
    moment: str = ""
    """Time of the last record."""
    events: dict[str, BookedEvent] = field(default_factory=dict)
    signing_keys: dict[str, tuple[Stamp, PublicKey]] = field(default_factory=dict)
    """Id of a key -> its record, and the key."""
    references: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """Reference -> index and sequence of each event that has it."""
    policies: dict[tuple[str, int], tuple[int, Policy]] = field(default_factory=dict)
    """(name, revision) -> sequence of the record, and the policy."""
    founded: dict[str, str] = field(default_factory=dict)
    """Name of a policy -> time of its first revision."""
    runs: dict[str, Run] = field(default_factory=dict)
    stamps: dict[tuple[str, str], Stamp] = field(default_factory=dict)
    """(run, `draft` or a step) -> person and time of its record."""
    void: Collection[str] = frozenset()
    """Void runs. Their statements are not recomputed: nothing of them was or can be posted."""
    claims: Claims = field(default_factory=Claims)
    """Claims of posted runs on events."""
    divisions: dict[str, dict[str, PeriodRun]] = field(default_factory=dict)
    """Policy -> run -> the posted division of a period."""
    open: dict[str, set[str]] = field(default_factory=dict)
    """Policy -> runs that are neither posted nor ended."""
    entries: list[PostedRun] = field(default_factory=list)
    owners: set[str] = field(default_factory=set)
    """Owners that ever had a score."""
    reversed: set[str] = field(default_factory=set)
    """Runs that were reversed."""
    confirmations: dict[str, Confirmation] = field(default_factory=dict)
    """Unique form of a bank's reference -> the confirmation of a payout."""
    holds: HoldBook = field(default_factory=HoldBook)
    rosters: RosterBook = field(default_factory=RosterBook)
    parties: PartyBook = field(default_factory=PartyBook)
    rights: RightsBook = field(default_factory=RightsBook)
    party_stamps: dict[tuple[str, int], Stamp] = field(default_factory=dict)
    """(id, revision) of a party -> person and time of its record."""
    consents: ConsentBook = field(default_factory=ConsentBook)

    def restrictions(self, basis: int) -> list[Restriction]:
        """Return the holds in force and the missing consents after a record.

        Args:
            basis: Sequence of the record.
        """
        found = [*self.holds.restrictions(basis), *self.consents.restrictions(basis)]
        return of_every_label(found, self.parties, basis)

    def restrictions_ended(self, since: str, basis: int) -> int:
        """Count the holds that ended from a time on, and the consents that ended a restriction.

        Args:
            since: The time.
            basis: Sequence of the last record that counts.
        """
        return self.holds.ended_between(since, basis) + self.consents.allowed_between(since, basis)

    def shares_of(self, policy: Policy, basis: int) -> PartyShares:
        """Return the rights tables and aliases that divide a policy's amounts after a record.

        Args:
            policy: The policy.
            basis: Sequence of the record.
        """
        return shares_at(policy, self.rights, self.parties, basis)

    def balances(self, policy: str, upto: int | None = None) -> dict[AccountKey, int]:
        """Return the balance of each account of a policy.

        Args:
            policy: Name of the policy.
            upto: Sequence of the last record to count. None counts all records.
        """
        found: dict[AccountKey, int] = {}
        for each in self.entries:
            if each.policy.name == policy and (upto is None or each.sequence <= upto):
                key = each.entry.account, each.entry.owner
                found[key] = found.get(key, 0) + each.entry.amount
        return found

    def wrong(self, where: str, what: str) -> None:
        """Note an error.

        Args:
            where: The record.
            what: Description of the error.
        """
        self.findings.append(Finding(where, what))

    def divisions_of(self, policy: Policy) -> list[PeriodRun]:
        """Return the posted divisions of a policy's periods."""
        return list(self.divisions.get(policy.name, {}).values())

    def current(self) -> list[Policy]:
        """Return the newest revision of every policy."""
        return [
            policy
            for (name, revision), (_, policy) in self.policies.items()
            if (name, revision + 1) not in self.policies
        ]

    def newest(self, name: str) -> Policy:
        """Return the newest revision of a policy.

        Raises:
            InvalidInput: The policy has none.
        """
        revisions = [policy for (of, _), (_, policy) in self.policies.items() if of == name]
        if not revisions:
            raise InvalidInput("the run's policy has no revision")
        return max(revisions, key=lambda policy: policy.revision)

    def repeated(self, policy: Policy, events: Sequence[Event]) -> set[str]:
        """Return the events whose reference an earlier event of the policy's indexes has."""
        return {
            event.id
            for event in events
            if event.reference is not None
            and any(
                policy.covers(index) and sequence < self.events[event.id].sequence
                for index, sequence in self.references[event.reference]
            )
        }
