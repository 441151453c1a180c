"""Wire documents of statement runs and the ledger. Amounts are integers in minor units of the currency."""

from typing import Annotated, Literal

from pydantic import Field

from byline.api.compensation import PolicyName, Reason
from byline.api.documents import Body, Document, StoredDocument
from byline.api.holds import Subject
from byline.api.page import Page
from byline.api.rights import RightKind
from byline.api.terms import Asked

Text = Annotated[str, Field(min_length=1, max_length=500)]
PeriodName = Annotated[str, Field(min_length=4, max_length=10)]
RunKind = Literal["allocation", "adjustment", "release", "reversal", "payout"]
Step = Literal["approval", "rejection", "posting", "void"]
State = Literal["draft", "approved", "rejected", "posted", "void"]
Account = Literal[
    "funding", "payable", "unclaimed", "escrow", "held", "carried", "unallocated", "transit", "paid"
]
"""`funding` is the source of pools. The other accounts hold amounts to pay, unclaimed in a rights table, in escrow, held
back, carried, unallocated, with the bank, and paid. A negative `payable` is a receivable: a run was reversed after its
amounts were paid."""
ReleasedAccount = Literal["escrow", "held"]
"""Accounts that a release pays out."""


class AllocationBody(Body):
    """A draft that divides a policy's pool over the events of a period."""

    kind: Literal["allocation"]
    """Kind of the draft."""
    policy: PolicyName
    """Name of the policy. The newest revision applies."""
    period: PeriodName | None = None
    """Name of a finished period of the policy's calendar: `2026-03-31`, `2026-W14`, `2026-03`, `2026-Q1` or `2026`. Null
    takes the last finished period."""


class AdjustmentBody(Body):
    """A draft that pays the late events of a paid period, out of what is left of its budget."""

    kind: Literal["adjustment"]
    """Kind of the draft."""
    policy: PolicyName
    """Name of the policy. The newest revision applies."""
    period: PeriodName
    """Name of a period that a posted run has paid."""


class ReleaseBody(Body):
    """A draft that pays out escrow or held amounts."""

    kind: Literal["release"]
    """Kind of the draft."""
    policy: PolicyName
    """Name of the policy whose amounts are paid out."""
    account: ReleasedAccount = "escrow"
    """`escrow` or `held`, the amounts behind holds, disputes and missing consent."""
    reason: Text
    """Reason in words, such as a better version or an agreement."""
    amounts: dict[Annotated[str, Field(max_length=1000)], Annotated[int, Field(ge=1)]] | None = None
    """Minor units by owner. Null releases the whole account of every owner without a restriction in force. An owner with
    one must be named."""


class ReversalBody(Body):
    """A draft that reverses a posted run."""

    kind: Literal["reversal"]
    """Kind of the draft."""
    run: Annotated[str, Field(max_length=64)]
    """Id of the posted run."""
    reason: Text
    """Reason in words."""


class RunBody(Body):
    """A statement run to draft."""

    draft: Annotated[
        AllocationBody | AdjustmentBody | ReleaseBody | ReversalBody, Field(discriminator="kind")
    ]
    """Content of the run."""


class RejectionBody(Body):
    """The rejection of a statement run."""

    comment: Text
    """Reason in words. The drafter reads it."""


class RunStep(Document):
    """A step of a statement run."""

    step: Step
    """`approval`, `rejection`, `posting` or `void`."""
    person: str
    """Person who took the step."""
    at: str
    """Time of the step in UTC."""
    comment: str | None
    """Reason of a rejection."""


class RunHand(Document):
    """The key behind an act on a statement run, and who made it."""

    act: Literal["draft", "approval", "rejection", "posting", "void"]
    """`draft` or the step."""
    person: str
    """Person who acted."""
    key: str | None
    """Id of the key. Null for the command line."""
    key_made_by: str | None
    """Person who made the key."""
    key_made_at: str | None
    """Time at which the key was made, in UTC."""
    person_made_by: str | None
    """Person who recorded the person."""
    person_made_at: str | None
    """Time of that record in UTC."""


WarningKind = Literal[
    "refused",
    "late",
    "late_refused",
    "late_waiting",
    "earlier_unpaid",
    "paid_elsewhere",
    "paid_in_other_group",
    "budget_exceeded",
    "budget_left",
    "fallback",
    "held",
    "unclaimed",
    "holds_ended",
    "released_in_spite",
]


class StoredWarning(StoredDocument):
    """A warning about a run, as the ledger stores it."""

    kind: WarningKind
    """Kind of the warning."""
    events: Annotated[int, Field(strict=True, ge=0)] = 0
    """Number of events that it concerns."""
    amount: Annotated[int, Field(strict=True, ge=0)] | None = None
    """Amount that it concerns, in minor units. Null if it concerns events."""
    policy: str | None = None
    """Another policy that it concerns."""


class RunWarning(StoredWarning):
    """A warning about a run that a person should read before an approval."""

    text: str
    """The warning in words."""


class RunDocument(Document):
    """A statement run."""

    id: str
    """Id of the run and of its statement."""
    kind: RunKind
    """Kind of the run."""
    period: str | None
    """Name of the period. Null for a release, and for the reversal of one."""
    state: State
    """State of the run."""
    policy: str
    """Name of the policy."""
    revision: int
    """Revision of the policy."""
    currency: str
    """Currency of all amounts."""
    minor_digits: int
    """Decimal digits of the currency's minor unit."""
    drafted_by: str
    """Person who drafted the run. Another person must approve it."""
    drafted_at: str
    """Time of the draft in UTC."""
    steps: list[RunStep]
    """Steps in the order of time."""
    warnings: list[RunWarning]
    """Late events, refused events, events that were paid elsewhere, and the rest of the budget, at the time of the draft.
    Empty if the key cannot see every owner."""
    hands: list[RunHand]
    """Keys behind the draft and the steps. Empty in lists, and for a key with owners."""


class StatementLine(Document):
    """The amounts of one owner in a statement."""

    owner: str
    """Name of the owner."""
    earned: int
    """Sum of the lower bounds of the owner's shares."""
    brought: int
    """Amount that earlier runs carried because it was below the floor."""
    payable: int
    """Amount to pay out now."""
    carried: int
    """Amount to carry into the next run because it is below the floor."""
    escrow: int
    """Rest of the shares, held until the shares are better known."""
    held: int
    """Part of the earned amount that a hold, a dispute or a missing consent keeps from being paid."""
    netted: int
    """Part of the payable amount that pays a receivable back. A payout transfers the rest."""


class StatementSplit(Document):
    """A part of an owner's payable amount that a rights table or an alias gives to a party."""

    owner: str
    """Label of the owner whose amount is divided."""
    right: RightKind | None
    """Kind of the right. Null where an alias alone names the party."""
    party: str | None
    """Name of the party that is paid. Null for the unclaimed rest."""
    amount: int
    """Amount in minor units."""
    table: int | None
    """Sequence of the journal record of the rights table. Null where an alias alone names the party."""


class StatementTotals(Document):
    """The sums of a statement's lines."""

    pool: int
    """Amount that the run divides."""
    payable: int
    """Amount to pay out now."""
    unclaimed: int
    """Amount of rights that the rights table gives to no party."""
    carried: int
    """Amount to carry into the next run because it is below the floor."""
    escrow: int
    """Amount in escrow."""
    held: int
    """Amount that is held back."""
    unallocated: int
    """Amount of events without a positive owner's sum."""


class RefusedEvent(StoredDocument):
    """An event that a run does not pay for."""

    id: str
    """Id of the event."""
    reasons: tuple[Reason, ...]
    """Reasons for the refusal."""


class RestrictionDocument(Document):
    """A restriction on an owner's amounts."""

    id: str
    """Id of the hold, or of the consent's record."""
    kind: Literal["hold", "dispute", "prohibited", "expired"]
    """Kind of the restriction."""
    subject: Subject
    """Owner or work."""
    version: str | None
    """Version of the index. Null covers every version."""
    since: str | None
    """First time of the events that it covers. Null covers events of any time."""
    until: str | None
    """First time after them. Null if there is no end."""


class StatementDocument(RunDocument):
    """The statement of a run."""

    reason: str | None
    """Reason of a release or a reversal."""
    account: ReleasedAccount | None
    """Account that a release pays out. Null for other runs."""
    since: str | None
    """Start of the period. Null if the run has no period."""
    until: str | None
    """End of the period (exclusive). Null if the run has no period."""
    events: int
    """Number of events that the run pays for."""
    asked: dict[Asked, int]
    """Number of these events by the form of their question. A `gradient` or a `feature` is the caller's own computation."""
    late: int
    """Number of late events among them, of earlier periods."""
    refused: list[RefusedEvent]
    """Events that the run does not pay for, with the reasons."""
    restrictions: list[RestrictionDocument]
    """Holds, disputes and missing consent that the run names. Empty if the key cannot see every owner."""
    lines: list[StatementLine]
    """Lines, ordered by owner."""
    splits: list[StatementSplit]
    """Parts of the lines' payable amounts that parties get, by a rights table or an alias."""
    totals: StatementTotals | None
    """Sums of the lines. Null if the key cannot see every owner."""
    sha256: str
    """Digest of the complete statement."""


class EntryDocument(Document):
    """An entry of the ledger."""

    sequence: int
    """Sequence number of the journal record that posted the entry."""
    line: int
    """Number of the entry within its transaction."""
    run: str
    """Id of the posted run."""
    policy: str
    """Name of the policy."""
    account: Account
    """Account of the policy."""
    owner: str | None
    """Owner whose account it is."""
    currency: str
    """Currency of the amount."""
    amount: int
    """Minor units: positive into the account, negative out of it."""


class BalanceDocument(Document):
    """The balance of an account."""

    policy: str
    """Name of the policy."""
    account: Account
    """Account of the policy."""
    owner: str | None
    """Owner whose account it is."""
    currency: str
    """Currency of the amount."""
    minor_digits: int
    """Decimal digits of the currency's minor unit."""
    amount: int
    """Balance in minor units."""


class BalancePage(Page[BalanceDocument]):
    """A page of balances, ordered by policy, account and owner."""

    journal: int
    """Sequence number of the last journal record."""


class FindingDocument(Document):
    """A discrepancy in the ledger."""

    where: str
    """Table and row of the discrepancy."""
    what: str
    """Description of the discrepancy."""


class VerificationDocument(Document):
    """The result of a complete verification of the ledger."""

    records: int
    """Number of journal records."""
    head: str
    """Hash of the last journal record. Keep a copy outside the service."""
    events: int
    """Number of booked events."""
    runs: int
    """Number of statement runs."""
    posted: int
    """Number of posted statement runs."""
    audit: int
    """Id of the last line of the audit log."""
    audit_head: str
    """Hash of the last line of the audit log. Keep a copy outside the service."""
    findings: list[FindingDocument]
    """Discrepancies, at most one hundred. Empty if the ledger is intact."""
