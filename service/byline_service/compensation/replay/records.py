"""Replay of events, keys and policies: what a record may add to the ledger."""

from byline_service.compensation.budgets import require_same_terms
from byline_service.compensation.drafting import size_of
from byline_service.compensation.event import Event, signed_bytes
from byline_service.compensation.fixed_point import BITS
from byline_service.compensation.journal import Record, SigningKeyAdded
from byline_service.compensation.money import minor_digits
from byline_service.compensation.period_events import BookedEvent
from byline_service.compensation.policy import Policy, require_admitted, require_bookable
from byline_service.compensation.replay.ledger import ReplayedLedger, Stamp
from byline_service.compensation.rosters import RosterRecord, RosterRecorded
from byline_service.compensation.works import works_errors
from byline_service.signing.keys import PublicKey


def add_key(book: ReplayedLedger, record: Record, fact: SigningKeyAdded, where: str) -> None:
    """Add a key that signs events."""
    key = PublicKey.from_text(fact.public_key)
    if key.id in book.signing_keys:
        book.wrong(where, "the key was added already")
    book.signing_keys[key.id] = Stamp(record.sequence, record.person, record.at, None), key


def book_event(book: ReplayedLedger, record: Record, event: Event, where: str) -> None:
    """Add a booked event.

    Raises:
        NotPayable: No policy of that time admits its form.
    """
    key = book.signing_keys.get(event.signature.key)
    if key is None or not key[1].verifies(event.signature, signed_bytes(event)):
        book.wrong(where, "the event does not have the signature of a known key")
    if event.id in book.events:
        book.wrong(where, "the event was booked already")
    if event.booked_at != record.at:
        book.wrong(where, "the event has another time than its record")
    require_admitted(book.current(), event.index, event.asked)
    require_bookable(book.current(), event)
    if any(abs(n) > 1 << BITS for row in event.scores.values() for n in row):
        book.wrong(where, f"a score is larger than 2^{BITS}")
    for error in works_errors(event):
        book.wrong(where, error)
    book.owners.update(event.scores)
    if event.reference is not None:
        book.references.setdefault(event.reference, []).append((event.index, record.sequence))
    book.events[event.id] = BookedEvent(
        event.id,
        record.sequence,
        record.at,
        event.index,
        event.version,
        event.reference,
        event.weight,
        size_of(event),
    )


def add_roster(book: ReplayedLedger, record: Record, fact: RosterRecorded) -> None:
    """Add the owners of a version. A training pool may pay them.

    Raises:
        Conflict: The newest roster of the index is the same.
    """
    book.rosters.read(
        RosterRecord(sequence=record.sequence, at=record.at, person=record.person, roster=fact.roster)
    )
    book.owners.update(fact.roster.sizes)


def revise(book: ReplayedLedger, record: Record, policy: Policy, where: str) -> None:
    """Add a revision of a policy.

    Raises:
        InvalidInput: The currency is unknown, or the revision changes a fixed term.
    """
    minor_digits(policy.currency)
    _, before = book.policies.get((policy.name, policy.revision - 1), (0, None))
    if (before is None) != (policy.revision == 1) or (policy.name, policy.revision) in book.policies:
        book.wrong(where, "the policy's revisions are not 1, 2, 3 …")
    elif before is not None:
        require_same_terms(before, policy)
    book.policies[policy.name, policy.revision] = record.sequence, policy
    book.founded.setdefault(policy.name, record.at)
