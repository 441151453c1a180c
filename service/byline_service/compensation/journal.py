"""The journal: one chain of hashes over all events, policies and runs.

    hash_n = SHA-256(canonical JSON of record n, which holds hash_(n-1))

A record that is changed, removed, inserted or moved breaks the chain. Anyone who can write to the database could replace
the whole chain, so note its head (sequence and hash) elsewhere from time to time. `byline ledger verify --head` compares
the chain with it.
"""

import hashlib
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from byline.api.receipts import Integer
from byline_service.compensation.consents import ConsentsFact
from byline_service.compensation.event import Event, Stored
from byline_service.compensation.holds import HoldEnded, HoldPlaced
from byline_service.compensation.parties import PartyErased, PartyRecorded
from byline_service.compensation.policy import Policy
from byline_service.compensation.rights import RightsRevised
from byline_service.compensation.rosters import RosterRecorded
from byline_service.compensation.statements import Statement
from byline_service.compensation.timestamps import TimestampText

GENESIS = "0" * 64
"""Hash before the first record."""


class EventBooked(Stored):
    """The booking of an event."""

    kind: Literal["event"] = "event"
    """Kind of the record."""
    event: Event
    """Booked event."""


class SigningKeyAdded(Stored):
    """The first use of a key that signs answers. Events name the key by its id."""

    kind: Literal["signing-key"] = "signing-key"
    """Kind of the record."""
    public_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")]
    """Public key in base64."""


class PolicyRevised(Stored):
    """A revision of a policy."""

    kind: Literal["policy"] = "policy"
    """Kind of the record."""
    policy: Policy
    """Revised policy."""


class Hand(Stored):
    """The key behind an act. Two acts are independent if no one could hold both keys."""

    key: str | None = None
    """Id of the key. None for the command line."""
    makers: tuple[str, ...] = ()
    """Persons who made the key or its person, and those who made theirs, sorted."""


class RunDrafted(Stored):
    """The draft of a statement run."""

    kind: Literal["draft"] = "draft"
    """Kind of the record."""
    run: str
    """Id of the run."""
    statement: Statement
    """Statement that the run would post."""
    by: Hand = Hand()
    """Key of the drafter, and its makers."""


class RunStepped(Stored):
    """The approval, rejection, posting or void of a run."""

    kind: Literal["approval", "rejection", "posting", "void"]
    """Kind of the step."""
    run: str
    """Id of the run."""
    digest: str
    """SHA-256 of the statement that the person acted on."""
    by: Hand = Hand()
    """Key of the person, and its makers."""
    comment: str | None = None
    """Reason of a rejection."""


class PayoutConfirmed(Stored):
    """The confirmation of a posted payout by the bank's statement."""

    kind: Literal["payout-confirmation"] = "payout-confirmation"
    """Kind of the record."""
    run: str
    """Id of the payout's run."""
    digest: str
    """SHA-256 of the payout's statement."""
    reference: str
    """Reference of the bank."""
    value_date: date
    """Value date of the transfer."""
    returned: tuple[str, ...] = ()
    """Owners whose transfer the bank returned, sorted."""
    by: Hand = Hand()
    """Key of the person, and its makers."""


Fact = Annotated[
    EventBooked
    | SigningKeyAdded
    | PolicyRevised
    | RosterRecorded
    | ConsentsFact
    | RunDrafted
    | RunStepped
    | HoldPlaced
    | HoldEnded
    | PartyRecorded
    | PartyErased
    | PayoutConfirmed
    | RightsRevised,
    Field(discriminator="kind"),
]
"""Content of a record."""


class Record(Stored):
    """A record of the journal."""

    sequence: Integer
    """Position in the journal, from 1 without gaps."""
    at: TimestampText
    """Time in UTC."""
    person: str
    """Person who acted."""
    fact: Fact
    """Content of the record."""
    previous: str
    """Hash of the previous record."""

    @property
    def hash(self) -> str:
        """Return the SHA-256 of the whole record."""
        return record_hash(self.canonical())


def record_hash(canonical: bytes) -> str:
    """Return the SHA-256 of a record's canonical JSON."""
    return hashlib.sha256(canonical).hexdigest()
