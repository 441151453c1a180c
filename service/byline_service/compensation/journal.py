"""The journal: everything that counts, in one chain of hashes.

    hash_n = SHA-256(canonical JSON of record n, which holds hash_(n-1))

A record that is changed, taken out, put in or moved breaks the chain from there on. Whoever can write to the database
could write the whole chain anew: note its head (sequence and hash) elsewhere from time to time, and
`byline ledger verify --head` holds the chain to it.
"""

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from byline.api.compensation import Integer
from byline_service.compensation.event import Event, Stored
from byline_service.compensation.policy import Policy
from byline_service.compensation.statements import Statement
from byline_service.compensation.timestamps import MomentText

GENESIS = "0" * 64
"""The hash before the first record."""


class EventBooked(Stored):
    """An event was booked."""

    kind: Literal["event"] = "event"
    """What this is."""
    event: Event
    """The event."""


class PolicyRevised(Stored):
    """A policy got a revision."""

    kind: Literal["policy"] = "policy"
    """What this is."""
    policy: Policy
    """The revision."""


class RunDrafted(Stored):
    """A statement run was drafted."""

    kind: Literal["draft"] = "draft"
    """What this is."""
    run: str
    """Its id."""
    statement: Statement
    """What it would post."""


class RunStepped(Stored):
    """A run was approved, posted or voided."""

    kind: Literal["approval", "posting", "void"]
    """Which."""
    run: str
    """Which run."""
    digest: str
    """SHA-256 of the statement that was looked at."""


Fact = Annotated[EventBooked | PolicyRevised | RunDrafted | RunStepped, Field(discriminator="kind")]
"""What a record says."""


class Record(Stored):
    """One link of the chain."""

    sequence: Integer
    """1 for the first, without gaps."""
    at: MomentText
    """When, UTC."""
    person: str
    """Who."""
    fact: Fact
    """What."""
    previous: str
    """Hash of the record before."""

    @property
    def hash(self) -> str:
        """SHA-256 of all of the record."""
        return record_hash(self.canonical())


def record_hash(canonical: bytes) -> str:
    """SHA-256 of a record's canonical JSON."""
    return hashlib.sha256(canonical).hexdigest()
