"""Replay of the journal from its first record: every rule is checked, and every statement is recomputed.

`LedgerReplay.read` takes the records in order, with the events of each draft, and collects the errors that it finds. The
tables beside the journal must have the same events, runs and balances.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from byline.api.compensation import Reason
from byline.errors import BylineError, InvalidInput
from byline_service.compensation.drafting import Period, draft_allocation, draft_release, draft_reversal
from byline_service.compensation.event import Event
from byline_service.compensation.fixed_point import BITS
from byline_service.compensation.journal import (
    GENESIS,
    EventBooked,
    PolicyRevised,
    Record,
    RunDrafted,
    RunStepped,
)
from byline_service.compensation.money import minor_digits
from byline_service.compensation.policy import Policy, unpayable
from byline_service.compensation.runs import AccountKey, Run, balances_after, carried_of, require_balanced
from byline_service.compensation.statements import (
    AllocationStatement,
    Entry,
    ReleaseStatement,
    ReversalStatement,
    Statement,
)


@dataclass(frozen=True)
class Finding:
    """An error in the stored ledger."""

    where: str
    """Table and row: `journal 12`, `events …`."""
    what: str
    """Description of the error."""


@dataclass(frozen=True)
class BookedEvent:
    """Identity of a booked event, without its scores."""

    id: str
    sequence: int
    at: str
    index: str
    version: str
    reference: str | None
    weight: int


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


@dataclass
class LedgerReplay:
    """The state of the ledger after the records that were read."""

    findings: list[Finding] = field(default_factory=list)
    head: tuple[int, str] = (0, GENESIS)
    """Sequence and hash of the last record."""
    events: dict[str, BookedEvent] = field(default_factory=dict)
    policies: dict[tuple[str, int], tuple[int, Policy]] = field(default_factory=dict)
    """(name, revision) -> sequence of the record, and the policy."""
    runs: dict[str, Run] = field(default_factory=dict)
    stamps: dict[tuple[str, str], Stamp] = field(default_factory=dict)
    """(run, `draft` or a step) -> person and time of its record."""
    claims: dict[tuple[str, str], list[tuple[int, str]]] = field(default_factory=dict)
    """(policy, event) -> sequences and runs of its claims, which pay for the event and reverse that, in turn."""
    entries: list[PostedRun] = field(default_factory=list)
    owners: set[str] = field(default_factory=set)
    """Owners that ever had a score."""
    reversed: set[str] = field(default_factory=set)
    """Runs that were reversed."""

    def wanted(self, record: Record) -> list[int]:
        """Return the sequences of the events that `read` needs to recompute a draft."""
        fact = record.fact
        if not (isinstance(fact, RunDrafted) and isinstance(fact.statement, AllocationStatement)):
            return []
        return [each.sequence for each in self.events.values() if self._open(each, fact.statement)]

    def read(self, record: Record, stored_hash: str, events: Mapping[int, Event]) -> None:
        """Read the next record.

        Args:
            record: The stored record.
            stored_hash: The hash that is stored with it.
            events: The events of `wanted`, by sequence.
        """
        where = f"journal {record.sequence}"
        if record.sequence != self.head[0] + 1:
            self._wrong(where, f"expected sequence {self.head[0] + 1}: records are missing or were put in")
        if record.previous != self.head[1]:
            self._wrong(where, "its `previous` is not the hash of the record before: the chain is broken")
        self.head = record.sequence, stored_hash
        try:
            self._apply(record, where, events)
        except BylineError as error:
            self._wrong(where, str(error))

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

    def _wrong(self, where: str, what: str) -> None:
        self.findings.append(Finding(where, what))

    def _apply(self, record: Record, where: str, events: Mapping[int, Event]) -> None:
        fact = record.fact
        if isinstance(fact, EventBooked):
            self._book(record, fact.event, where)
        elif isinstance(fact, PolicyRevised):
            self._revise(record, fact.policy, where)
        elif isinstance(fact, RunDrafted):
            self._draft(record, fact, where, events)
        else:
            self._step(record, fact, where)

    def _book(self, record: Record, event: Event, where: str) -> None:
        if event.id in self.events:
            self._wrong(where, "the event was booked already")
        if event.booked_at != record.at:
            self._wrong(where, "the event has another time than its record")
        for reason in unpayable(event):
            self._wrong(where, f"the event is not payable ({reason}) and was booked")
        if any(abs(n) > 1 << BITS for row in event.scores.values() for n in row):
            self._wrong(where, f"a score is larger than 2^{BITS}")
        self.owners.update(event.scores)
        self.events[event.id] = BookedEvent(
            event.id,
            record.sequence,
            record.at,
            event.index,
            event.version,
            event.reference,
            event.weight,
        )

    def _revise(self, record: Record, policy: Policy, where: str) -> None:
        minor_digits(policy.currency)
        _, before = self.policies.get((policy.name, policy.revision - 1), (0, None))
        if (before is None) != (policy.revision == 1) or (policy.name, policy.revision) in self.policies:
            self._wrong(where, "the policy's revisions are not 1, 2, 3 …")
        elif before is not None and before.currency != policy.currency:
            self._wrong(where, "the policy has another currency than before")
        self.policies[policy.name, policy.revision] = record.sequence, policy

    def _draft(self, record: Record, fact: RunDrafted, where: str, events: Mapping[int, Event]) -> None:
        statement = fact.statement
        if fact.run in self.runs:
            self._wrong(where, "the run was drafted already")
        _, policy = self.policies.get((statement.policy.name, statement.policy.revision), (0, None))
        if policy != statement.policy:
            self._wrong(where, "the run's policy is not the revision that it names")
        self.runs[fact.run] = Run(
            id=fact.run, drafted_by=record.person, makers=fact.by.makers, statement=statement
        )
        self.stamps[fact.run, "draft"] = Stamp(record.sequence, record.person, record.at, fact.by.key)
        if self._recomputed(record, statement, events).canonical() != statement.canonical():
            self._wrong(where, "the recomputed statement differs: it must agree to the byte")

    def _recomputed(self, record: Record, statement: Statement, events: Mapping[int, Event]) -> Statement:
        name = statement.policy.name
        if isinstance(statement, ReversalStatement):
            run = self.runs.get(statement.run)
            if run is None:
                raise InvalidInput("the reversed run does not exist")
            return draft_reversal(run, statement.reason)
        if isinstance(statement, ReleaseStatement):
            amounts = {line.owner: line.amount for line in statement.lines}
            return draft_release(statement.policy, statement.reason, amounts, self.balances(name))
        if statement.basis >= record.sequence:
            raise InvalidInput("the run was drafted on later records")
        return self._reallocated(statement, [events[sequence] for sequence in sorted(events)])

    def _reallocated(self, statement: AllocationStatement, events: Sequence[Event]) -> AllocationStatement:
        policy, basis = statement.policy, statement.basis
        refused = {each.id for each in statement.refused if Reason.QUARANTINED in each.reasons}
        quarantined = {(event.index, event.version) for event in events if event.id in refused}
        carried = carried_of(self.balances(policy.name, basis))
        period = Period(since=statement.since, until=statement.until, basis=basis)
        return draft_allocation(policy, period, events, carried, quarantined)

    def _open(self, booked: BookedEvent, statement: AllocationStatement) -> bool:
        """Return whether an event belongs to a run: in its period, covered, and not paid for at its basis."""
        policy = statement.policy
        claims = self.claims.get((policy.name, booked.id), [])
        return (
            booked.sequence <= statement.basis
            and (statement.since or "") <= booked.at < statement.until
            and (not policy.indexes or booked.index in policy.indexes)
            and sum(sequence <= statement.basis for sequence, _ in claims) % 2 == 0
        )

    def _step(self, record: Record, fact: RunStepped, where: str) -> None:
        run = self.runs.get(fact.run)
        if run is None:
            raise InvalidInput("the run does not exist")
        if fact.digest != run.statement.sha256:
            self._wrong(where, "the person acted on another statement")
        if fact.kind == "approval":
            run.require_approvable(record.person, fact.by.makers)
        elif fact.kind == "rejection":
            run.require_rejectable(record.person, fact.comment)
        elif fact.kind == "void":
            run.require_voidable()
        else:
            run.require_postable()
            self._post(record, run)
        self.runs[run.id] = replace(run, steps={**run.steps, fact.kind: record.person})
        self.stamps[run.id, fact.kind] = Stamp(
            record.sequence, record.person, record.at, fact.by.key, fact.comment
        )

    def _post(self, record: Record, run: Run) -> None:
        statement = run.statement
        entries = statement.entries()
        require_balanced(entries)
        balances_after(statement, self.balances(statement.policy.name))
        if any(entry.owner is not None and entry.owner not in self.owners for entry in entries):
            raise InvalidInput("a paid owner has no score in any event")
        self._claim(record, run)
        self.entries += [
            PostedRun(record.sequence, line, run.id, statement.policy, entry)
            for line, entry in enumerate(entries, start=1)
        ]

    def _claim(self, record: Record, run: Run) -> None:
        statement = run.statement
        paid: Statement | None = statement
        if isinstance(statement, ReversalStatement):
            if statement.run in self.reversed:
                raise InvalidInput("the run was reversed already")
            self.reversed.add(statement.run)
            run_taken = self.runs.get(statement.run)
            if run_taken is None:
                raise InvalidInput("the reversed run does not exist")
            paid = run_taken.statement
        if not isinstance(paid, AllocationStatement):
            return
        taken = paid is not statement
        for event in paid.events:
            claims = self.claims.setdefault((paid.policy.name, event.id), [])
            if len(claims) % 2 != taken:
                raise InvalidInput("an event is paid for twice")
            claims.append((record.sequence, run.id))
