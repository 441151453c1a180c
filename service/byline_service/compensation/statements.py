"""Statements as documents, and the balanced entries that they post."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from byline.api.compensation import Reason
from byline.api.payouts import Payee, Receivable
from byline.api.receipts import Integer
from byline.api.statements import Account, RefusedEvent, ReleasedAccount, StoredWarning
from byline.api.terms import Asked
from byline_service.compensation.allocation import Allocation
from byline_service.compensation.event import Stored
from byline_service.compensation.policy import Policy
from byline_service.compensation.restrictions import Restriction
from byline_service.compensation.rights import Day, Split
from byline_service.compensation.rosters import Roster
from byline_service.compensation.timestamps import TimestampText


class Entry(Stored):
    """One entry of a balanced transaction."""

    account: Account
    """Account of the policy."""
    owner: str | None
    """Owner of a `payable`, `unclaimed`, `escrow`, `held` or `carried` account. Null for the others."""
    amount: Integer
    """Amount in minor units: positive into the account, negative out of it."""


class EventRef(Stored):
    """An event that is paid for."""

    id: str
    """The event."""
    digest: str
    """SHA-256 of its document."""
    asked: Asked
    """Form of its question."""
    doubts: tuple[Reason, ...] = ()
    """Reasons why the policy's fallback divides it. Empty if it is divided by its attribution."""


class AllocationStatement(Stored):
    """The division of a pool over events."""

    kind: Literal["allocation", "adjustment"] = "allocation"
    """Kind of the statement: it pays a period, or late events of a paid period."""
    policy: Policy
    """Policy of the division."""
    period: str
    """Name of the period."""
    since: TimestampText
    """First time of the period."""
    until: TimestampText
    """First time after the period."""
    basis: Integer
    """Sequence of the last journal record that was counted."""
    budget: Integer
    """Budget of the period, in minor units."""
    spent: Integer
    """Part of the budget that posted runs had taken, in minor units."""
    late: Integer
    """Number of late events that are paid for. They are the first ones."""
    events: tuple[EventRef, ...]
    """Events that are paid for, in the order of booking."""
    refused: tuple[RefusedEvent, ...]
    """Events that are not paid for, with the reasons. A later run may pay for them."""
    warnings: tuple[StoredWarning, ...]
    """Warnings to the person who approves."""
    restrictions: tuple[Restriction, ...] = ()
    """Holds, disputes and missing consent of the owners who have a line."""
    rosters: tuple[Roster, ...] = ()
    """Owners and sizes that the division used."""
    allocation: Allocation
    """Result of the division."""
    splits: tuple[Split, ...] = ()
    """Parts of the payable amounts, by owner, that a rights table or an alias gives to parties."""

    def entries(self) -> tuple[Entry, ...]:
        """Return the entries: the pool leaves `funding`, and carried amounts change by the difference."""
        found = [Entry(account="funding", owner=None, amount=-self.allocation.pool)]
        parts = _parts(self.splits)
        for line in self.allocation.lines:
            found += [
                *_payable(line.owner, line.payable, parts.get(line.owner)),
                Entry(account="carried", owner=line.owner, amount=line.carried - line.brought),
                Entry(account="escrow", owner=line.owner, amount=line.escrow),
                Entry(account="held", owner=line.owner, amount=line.held),
            ]
        found.append(Entry(account="unallocated", owner=None, amount=self.allocation.unallocated))
        return _moved(found)


class ReleaseLine(Stored):
    """An amount that an owner gets out of escrow or out of the held amounts."""

    owner: str
    """Owner of the account."""
    amount: Annotated[int, Field(strict=True, ge=1)]
    """Amount in minor units."""


class ReleaseStatement(Stored):
    """A payout of escrow, because the shares are known better, or of held amounts, because a claim is settled."""

    kind: Literal["release"] = "release"
    """Kind of the statement."""
    policy: Policy
    """Policy of the accounts."""
    account: ReleasedAccount = "escrow"
    """Account that is paid out."""
    reason: str
    """Reason in words."""
    restrictions: tuple[Restriction, ...] = ()
    """Restrictions on the owners, that the release pays in spite of."""
    warnings: tuple[StoredWarning, ...] = ()
    """Warnings to the person who approves."""
    lines: tuple[ReleaseLine, ...]
    """Lines by owner."""
    day: Day
    """Day of the draft in UTC. Rows of a rights table must be valid on it."""
    splits: tuple[Split, ...] = ()
    """Parts of the amounts, by owner, that a rights table or an alias gives to parties."""

    def entries(self) -> tuple[Entry, ...]:
        """Return the entries: out of `escrow` or `held`, into `payable`."""
        parts = _parts(self.splits)
        return _moved(
            [
                entry
                for line in self.lines
                for entry in (
                    Entry(account=self.account, owner=line.owner, amount=-line.amount),
                    *_payable(line.owner, line.amount, parts.get(line.owner)),
                )
            ]
        )


class ReversalStatement(Stored):
    """The reversal of a posted run."""

    kind: Literal["reversal"] = "reversal"
    """Kind of the statement."""
    policy: Policy
    """Policy of the reversed run."""
    reason: str
    """Reason in words."""
    run: str
    """Id of the reversed run."""
    period: str | None
    """Period of the reversed run. Null if it is a release."""
    posted: tuple[Entry, ...]
    """Entries of the reversed run."""

    def entries(self) -> tuple[Entry, ...]:
        """Return every entry of the run with the opposite sign."""
        return tuple(entry.model_copy(update={"amount": -entry.amount}) for entry in self.posted)


class PayoutLine(Stored):
    """An amount that an owner is paid."""

    owner: str
    """Owner of the payable account."""
    amount: Annotated[int, Field(strict=True, ge=1)]
    """Amount in minor units."""
    netted: Annotated[int, Field(strict=True, ge=0)]
    """Receivable that the owner's runs have paid back since the last payout."""
    payee: Payee | None
    """Account that the owner is paid to."""


class PayoutStatement(Stored):
    """The transfer of payable amounts by a bank."""

    kind: Literal["payout"] = "payout"
    """Kind of the statement."""
    policy: Policy
    """Policy of the payable accounts."""
    restrictions: tuple[Restriction, ...] = ()
    """Restrictions on the owners, that the payout pays in spite of."""
    warnings: tuple[StoredWarning, ...] = ()
    """Warnings to the person who approves."""
    lines: tuple[PayoutLine, ...]
    """Lines by owner."""
    receivables: tuple[Receivable, ...]
    """Owners who owe an amount."""

    def entries(self) -> tuple[Entry, ...]:
        """Return the entries: out of `payable`, into `transit` until the bank confirms the transfer."""
        sides = [("payable", -1), ("transit", 1)]
        return tuple(
            Entry.model_validate({"account": account, "owner": line.owner, "amount": sign * line.amount})
            for line in self.lines
            for account, sign in sides
        )


Statement = Annotated[
    AllocationStatement | ReleaseStatement | ReversalStatement | PayoutStatement, Field(discriminator="kind")
]
"""The statement of a run."""


def period_of(statement: Statement) -> str | None:
    """Return the name of a statement's period. None for a release or a payout."""
    return None if isinstance(statement, ReleaseStatement | PayoutStatement) else statement.period


def _parts(splits: Sequence[Split]) -> dict[str, Counter[str | None]]:
    """Return the amount of each party by owner. The party None is the unclaimed rest."""
    found: dict[str, Counter[str | None]] = {}
    for split in splits:
        found.setdefault(split.owner, Counter())[split.party] += split.amount
    return found


def _payable(owner: str, amount: int, parts: Mapping[str | None, int] | None) -> list[Entry]:
    """Return the entries of a payable amount: to the owner, or to the parties that share in it."""
    if parts is None:
        return [Entry(account="payable", owner=owner, amount=amount)]
    named = sorted((party, part) for party, part in parts.items() if party is not None)
    found = [Entry(account="payable", owner=party, amount=part) for party, part in named]
    return [*found, Entry(account="unclaimed", owner=owner, amount=parts.get(None, 0))]


def _moved(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if entry.amount)
