"""Replay of the journal from its first record: every rule is checked, and every statement is recomputed.

`LedgerReplay.read` takes the records in order, with the events of each draft, and collects the errors that it finds. The
tables beside the journal must have the same events, runs and balances.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from byline.errors import BylineError, InvalidInput
from byline_service.compensation.budgets import (
    PeriodRun,
    ceiling,
    require_budget,
    require_current,
    require_few_drafts,
    require_finished,
    require_same_terms,
    spending,
)
from byline_service.compensation.calendar import period_named
from byline_service.compensation.drafting import (
    Candidates,
    draft_allocation,
    draft_release,
    draft_reversal,
    size_of,
)
from byline_service.compensation.event import Event, signed_bytes
from byline_service.compensation.fixed_point import BITS
from byline_service.compensation.journal import (
    GENESIS,
    EventBooked,
    PolicyRevised,
    Record,
    RunDrafted,
    RunStepped,
    SigningKeyAdded,
)
from byline_service.compensation.money import minor_digits
from byline_service.compensation.period_events import (
    BookedEvent,
    Claim,
    Claims,
    PeriodEvents,
    Search,
    period_events,
)
from byline_service.compensation.policy import Policy, require_admitted, unpayable
from byline_service.compensation.runs import (
    OPEN,
    AccountKey,
    Run,
    balances_after,
    carried_of,
    require_balanced,
)
from byline_service.compensation.statements import (
    AllocationStatement,
    Entry,
    ReleaseStatement,
    ReversalStatement,
    Statement,
)
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


@dataclass
class LedgerReplay:
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

    def wanted(self, record: Record) -> list[int]:
        """Return the sequences of the events that `read` needs to recompute a draft."""
        fact = record.fact
        if (
            not (isinstance(fact, RunDrafted) and isinstance(fact.statement, AllocationStatement))
            or fact.run in self.void
        ):
            return []
        try:
            found = self._period_events(fact.statement)
        except BylineError:
            return []  # `read` names the error
        return [event.sequence for event in (*found.late, *found.own)]

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
        if record.at <= self.moment:
            self._wrong(where, "its time is not after the record before: periods depend on times")
        self.head, self.moment = (record.sequence, stored_hash), record.at
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
        elif isinstance(fact, SigningKeyAdded):
            key = PublicKey.from_text(fact.public_key)
            if key.id in self.signing_keys:
                self._wrong(where, "the key was added already")
            self.signing_keys[key.id] = Stamp(record.sequence, record.person, record.at, None), key
        elif isinstance(fact, PolicyRevised):
            self._revise(record, fact.policy, where)
        elif isinstance(fact, RunDrafted):
            self._draft(record, fact, where, events)
        else:
            self._step(record, fact, where)

    def _book(self, record: Record, event: Event, where: str) -> None:
        key = self.signing_keys.get(event.signature.key)
        if key is None or not key[1].verifies(event.signature, signed_bytes(event)):
            self._wrong(where, "the event does not have the signature of a known key")
        if event.id in self.events:
            self._wrong(where, "the event was booked already")
        if event.booked_at != record.at:
            self._wrong(where, "the event has another time than its record")
        require_admitted(self._current(), event.index, event.asked)
        for reason in unpayable(event):
            self._wrong(where, f"the event is not payable ({reason}) and was booked")
        if any(abs(n) > 1 << BITS for row in event.scores.values() for n in row):
            self._wrong(where, f"a score is larger than 2^{BITS}")
        self.owners.update(event.scores)
        if event.reference is not None:
            self.references.setdefault(event.reference, []).append((event.index, record.sequence))
        self.events[event.id] = BookedEvent(
            event.id,
            record.sequence,
            record.at,
            event.index,
            event.version,
            event.reference,
            event.weight,
            size_of(event),
        )

    def _current(self) -> Iterator[Policy]:
        """Yield the newest revision of every policy."""
        for name, revision in self.policies:
            if (name, revision + 1) not in self.policies:
                yield self.policies[name, revision][1]

    def _revise(self, record: Record, policy: Policy, where: str) -> None:
        minor_digits(policy.currency)
        _, before = self.policies.get((policy.name, policy.revision - 1), (0, None))
        if (before is None) != (policy.revision == 1) or (policy.name, policy.revision) in self.policies:
            self._wrong(where, "the policy's revisions are not 1, 2, 3 …")
        elif before is not None:
            require_same_terms(before, policy)
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
        self._count_drafts(fact, statement.policy.name)
        if fact.run in self.void:
            return
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
        require_finished(period_named(statement.policy.period, statement.period), record.at)
        return self._reallocated(statement, events)

    def _count_drafts(self, fact: RunDrafted, policy: str) -> None:
        """Hold the limit of open drafts."""
        self.open.setdefault(policy, set())
        require_few_drafts(len(self.open[policy]))
        self.open[policy].add(fact.run)

    def _reallocated(
        self, statement: AllocationStatement, events: Mapping[int, Event]
    ) -> AllocationStatement:
        policy, basis = statement.policy, statement.basis
        found = self._period_events(statement)
        own = [events[event.sequence] for event in found.own]
        late = [events[event.sequence] for event in found.late]
        spent = spending(self._divisions(policy), statement.period, basis)
        _, paid_by = self.policies.get((policy.name, spent.revision or 0), (0, None))
        return draft_allocation(
            policy,
            Candidates(
                kind=statement.kind,
                period=period_named(policy.period, statement.period),
                basis=basis,
                events=own,
                late=late,
                late_waiting=found.late_waiting,
                earlier=found.earlier,
                elsewhere=found.elsewhere,
                other_groups={
                    event.id: self.claims.other_payers(policy.group, event.id, basis)
                    for event in (*own, *late)
                },
                carried=carried_of(self.balances(policy.name, basis)),
                spending=spent,
                budget=ceiling(policy, paid_by),
                repeated=self._repeated(policy, [*own, *late]),
            ),
        )

    def _repeated(self, policy: Policy, events: Sequence[Event]) -> set[str]:
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

    def _period_events(self, statement: AllocationStatement) -> PeriodEvents:
        policy = statement.policy
        period = period_named(policy.period, statement.period)
        search = Search(policy=policy, kind=statement.kind, period=period, basis=statement.basis)
        return period_events(search, self.events.values(), self.claims, self._divisions(policy))

    def _divisions(self, policy: Policy) -> list[PeriodRun]:
        return list(self.divisions.get(policy.name, {}).values())

    def _step(self, record: Record, fact: RunStepped, where: str) -> None:
        run = self.runs.get(fact.run)
        if run is None:
            raise InvalidInput("the run does not exist")
        if fact.digest != run.statement.sha256:
            self._wrong(where, "the person acted on another statement")
        if fact.kind == "approval":
            run.require_approvable(record.person, fact.by.makers)
            require_current(run.statement, self._newest(run.statement.policy.name))
        elif fact.kind == "rejection":
            run.require_rejectable(record.person, fact.comment)
        elif fact.kind == "void":
            run.require_voidable()
        else:
            run.require_postable()
            self._post(record, run)
        self.runs[run.id] = stepped = replace(run, steps={**run.steps, fact.kind: record.person})
        self.stamps[run.id, fact.kind] = Stamp(
            record.sequence, record.person, record.at, fact.by.key, fact.comment
        )
        if stepped.state not in OPEN:
            self.open.get(run.statement.policy.name, set()).discard(run.id)

    def _newest(self, name: str) -> Policy:
        revisions = [policy for (of, _), (_, policy) in self.policies.items() if of == name]
        if not revisions:
            raise InvalidInput("the run's policy has no revision")
        return max(revisions, key=lambda policy: policy.revision)

    def _post(self, record: Record, run: Run) -> None:
        statement = run.statement
        if run.id in self.void:
            raise InvalidInput("the run was posted, and a table has it as void or rejected")
        entries = statement.entries()
        require_balanced(entries)
        require_current(statement, self._newest(statement.policy.name))
        require_budget(statement, self._divisions(statement.policy), record.sequence - 1)
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
            if (self.claims.payer(paid.policy.group, event.id, record.sequence) is not None) != taken:
                raise InvalidInput("an event is paid for twice")
            claim = Claim(record.sequence, run.id, paid.policy.name)
            self.claims.add(paid.policy.group, event.id, claim)
        self._divide(record, run, paid)

    def _divide(self, record: Record, run: Run, paid: AllocationStatement) -> None:
        """Note the division of a period, or its reversal."""
        own = self.divisions.setdefault(paid.policy.name, {})
        if isinstance(run.statement, ReversalStatement):
            if run.statement.run not in own:
                raise InvalidInput("the reversed run was not posted")
            own[run.statement.run] = replace(own[run.statement.run], reversed=record.sequence)
            return
        own[run.id] = PeriodRun(
            run=run.id,
            kind=paid.kind,
            period=paid.period,
            revision=paid.policy.revision,
            pool=paid.allocation.pool,
            posted=record.sequence,
            reversed=None,
        )
