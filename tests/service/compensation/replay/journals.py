"""A journal in memory, and its replay."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from byline_service.compensation.calendar import period_named
from byline_service.compensation.drafting import Candidates, draft_allocation
from byline_service.compensation.event import Event
from byline_service.compensation.journal import (
    GENESIS,
    EventBooked,
    Hand,
    PolicyRevised,
    Record,
    RunDrafted,
    RunStepped,
    SigningKeyAdded,
)
from byline_service.compensation.replay.journal_replay import LedgerReplay
from byline_service.compensation.replay.ledger import ReplayedLedger
from byline_service.compensation.timestamps import timestamp_text
from tests.service.compensation.reference import KEY, event, policy

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Journal:
    """Records that are replayed as they are written. A day passes between two of them."""

    replay: LedgerReplay = field(default_factory=lambda: LedgerReplay(ReplayedLedger()))
    head: tuple[int, str] = (0, GENESIS)
    events: dict[int, Event] = field(default_factory=dict)

    @property
    def ledger(self):
        return self.replay.ledger

    @property
    def found(self):
        """What is wrong so far."""
        return [each.what for each in self.ledger.findings]

    def write(self, fact, person="ada", **changes):
        """Write a record and replay it. Changes are made to it afterwards: the kept hash is the right one."""
        sequence = self.head[0] + 1
        at = timestamp_text(BEGIN + timedelta(days=sequence))
        if isinstance(fact, Event):
            fact = EventBooked(event=fact.model_copy(update={"booked_at": at}))
            self.events[sequence] = fact.event
        record = Record(sequence=sequence, at=at, person=person, fact=fact, previous=self.head[1])
        self.head = sequence, record.hash
        record = record.model_copy(update=changes)
        wanted = self.replay.wanted(record)
        self.replay.read(record, self.head[1], {each: self.events[each] for each in wanted})
        return record

    def begin(self, **changes):
        """Write a signing key, a policy and an event."""
        self.write(SigningKeyAdded(public_key=KEY.public.text))
        self.write(PolicyRevised(policy=policy(period="day", **changes)))
        return self.write(event({"a": (4, 5, 6), "b": (1, 1, 2)})).fact.event

    def statement(self, of, **changes):
        """The division of the day of an event."""
        chosen = policy(period="day")
        day = period_named("day", of.booked_at[:10])
        terms = {"budget": chosen.budget, "founded": day.since} | changes
        own = Candidates(kind="allocation", period=day, basis=3, events=[of], **terms)
        return draft_allocation(chosen, own)

    def draft(self, statement, run="run"):
        return self.write(RunDrafted(run=run, statement=statement))

    def step(self, kind, statement, run="run", person="grace", **more):
        return self.write(RunStepped(kind=kind, run=run, digest=statement.sha256, by=Hand(), **more), person)
