"""Statement runs as documents, and the balanced entries that posting them makes."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from byline.api.compensation import Integer
from byline.api.statements import Account, RefusedEvent
from byline_service.compensation.allocation import Allocation
from byline_service.compensation.event import Stored
from byline_service.compensation.policy import Policy
from byline_service.compensation.timestamps import MomentText


class Entry(Stored):
    """One side of a transaction."""

    account: Account
    """Which account of the policy."""
    owner: str | None
    """Whose, of `payable`, `escrow` and `carried`."""
    amount: Integer
    """Minor units: into the account, or out of it where negative."""


class EventRef(Stored):
    """An event that is paid for."""

    id: str
    """The event."""
    digest: str
    """SHA-256 of its document."""


class AllocationStatement(Stored):
    """A pool, divided over events."""

    kind: Literal["allocation"] = "allocation"
    """What this is."""
    policy: Policy
    """By which it was divided."""
    since: MomentText | None
    """First moment of the period; null for all before."""
    until: MomentText
    """First moment after the period."""
    basis: Integer
    """Sequence of the last journal record that was counted."""
    events: tuple[EventRef, ...]
    """What is paid for, in the order of booking."""
    refused: tuple[RefusedEvent, ...]
    """What is not, and why; a later run may."""
    allocation: Allocation
    """The result."""

    def entries(self) -> tuple[Entry, ...]:
        """The transaction: the pool goes out of `funding`; carried amounts change by what is new."""
        found = [Entry(account="funding", owner=None, amount=-self.allocation.pool)]
        for line in self.allocation.lines:
            found += [
                Entry(account="payable", owner=line.owner, amount=line.payable),
                Entry(account="carried", owner=line.owner, amount=line.carried - line.brought),
                Entry(account="escrow", owner=line.owner, amount=line.escrow),
            ]
        found.append(Entry(account="unallocated", owner=None, amount=self.allocation.unallocated))
        return _moved(found)


class ReleaseLine(Stored):
    """What one owner gets out of escrow."""

    owner: str
    """Whose."""
    amount: Annotated[int, Field(strict=True, ge=1)]
    """Minor units."""


class ReleaseStatement(Stored):
    """Escrow that is paid out, since the shares are better known now or somebody answers for them."""

    kind: Literal["release"] = "release"
    """What this is."""
    policy: Policy
    """Whose escrow."""
    reason: str
    """Why, in words."""
    lines: tuple[ReleaseLine, ...]
    """By owner."""

    def entries(self) -> tuple[Entry, ...]:
        """The transaction: out of `escrow`, into `payable`."""
        sides = [("escrow", -1), ("payable", 1)]
        return _moved(
            [
                Entry.model_validate({"account": account, "owner": line.owner, "amount": sign * line.amount})
                for line in self.lines
                for account, sign in sides
            ]
        )


class ReversalStatement(Stored):
    """A posted run taken back: its entries with the other sign."""

    kind: Literal["reversal"] = "reversal"
    """What this is."""
    policy: Policy
    """Of the run that is taken back."""
    reason: str
    """Why, in words."""
    run: str
    """The run."""
    posted: tuple[Entry, ...]
    """Its entries."""

    def entries(self) -> tuple[Entry, ...]:
        """The transaction: every entry of the run with the other sign."""
        return tuple(entry.model_copy(update={"amount": -entry.amount}) for entry in self.posted)


Statement = Annotated[AllocationStatement | ReleaseStatement | ReversalStatement, Field(discriminator="kind")]
"""What a run holds."""


def _moved(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if entry.amount)
