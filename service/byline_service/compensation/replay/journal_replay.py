"""Replay of the journal from its first record: every rule is checked, and every statement is recomputed.

`LedgerReplay.read` takes the records in order, with the events of each draft, and collects the errors that it finds. The
tables beside the journal must have the same events, runs and balances.
"""

from collections.abc import Mapping

from byline.errors import BylineError
from byline_service.compensation.consents import ConsentsFact
from byline_service.compensation.event import Event
from byline_service.compensation.holds import HoldEnded, HoldPlaced
from byline_service.compensation.journal import (
    EventBooked,
    PayoutConfirmed,
    PolicyRevised,
    Record,
    RunDrafted,
    SigningKeyAdded,
)
from byline_service.compensation.parties import PartyErased, PartyRecorded
from byline_service.compensation.replay import consents, drafts, holds, parties, payouts, records, steps
from byline_service.compensation.replay.drafts import events_of
from byline_service.compensation.replay.ledger import ReplayedLedger
from byline_service.compensation.rights import RightsRevised
from byline_service.compensation.rosters import RosterRecorded
from byline_service.compensation.statements import AllocationStatement


class LedgerReplay:
    """Reads the journal into a ledger.

    Args:
        ledger: The ledger before the first record.
    """

    def __init__(self, ledger: ReplayedLedger) -> None:
        self.ledger = ledger

    def wanted(self, record: Record) -> list[int]:
        """Return the sequences of the events that `read` needs to recompute a draft."""
        fact = record.fact
        if (
            not (isinstance(fact, RunDrafted) and isinstance(fact.statement, AllocationStatement))
            or fact.run in self.ledger.void
        ):
            return []
        try:
            found = events_of(self.ledger, fact.statement)
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
        if record.sequence != self.ledger.head[0] + 1:
            self.ledger.wrong(
                where, f"expected sequence {self.ledger.head[0] + 1}: records are missing or were put in"
            )
        if record.previous != self.ledger.head[1]:
            self.ledger.wrong(
                where, "its `previous` is not the hash of the record before: the chain is broken"
            )
        if record.at <= self.ledger.moment:
            self.ledger.wrong(where, "its time is not after the record before: periods depend on times")
        self.ledger.head, self.ledger.moment = (record.sequence, stored_hash), record.at
        try:
            self._apply(record, where, events)
        except BylineError as error:
            self.ledger.wrong(where, str(error))

    def _apply(self, record: Record, where: str, events: Mapping[int, Event]) -> None:
        fact, ledger = record.fact, self.ledger
        if isinstance(fact, EventBooked):
            records.book_event(ledger, record, fact.event, where)
        elif isinstance(fact, SigningKeyAdded):
            records.add_key(ledger, record, fact, where)
        elif isinstance(fact, PolicyRevised):
            records.revise(ledger, record, fact.policy, where)
        elif isinstance(fact, RunDrafted):
            drafts.draft(ledger, record, fact, where, events)
        elif isinstance(fact, RosterRecorded):
            records.add_roster(ledger, record, fact)
        elif isinstance(fact, ConsentsFact):
            consents.record_consents(ledger, record, fact)
        elif isinstance(fact, HoldPlaced | HoldEnded):
            holds.hold(ledger, record, fact)
        elif isinstance(fact, PartyRecorded | PartyErased | RightsRevised):
            parties.read_party(ledger, record, fact)
        elif isinstance(fact, PayoutConfirmed):
            payouts.confirm(ledger, record, fact, where)
        else:
            steps.step(ledger, record, fact, where)
