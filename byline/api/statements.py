"""What clients send and get about statement runs and the ledger. Amounts are integers in minor units of the currency."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from byline.api.attributions import Body, Document
from byline.api.compensation import PolicyName
from byline_service.compensation.money import minor_digits
from byline_service.compensation.runs import State, Step
from byline_service.compensation.statements import Account, RefusedEvent

if TYPE_CHECKING:  # clients read these documents without a database
    from byline_service.ledger.entry_queries import Balance, EntryRow
    from byline_service.ledger.statement_queries import RunRow

Words = Annotated[str, Field(min_length=1, max_length=500)]


class AllocationBody(Body):
    """Divide a policy's pool over a period's events."""

    kind: Literal["allocation"]
    """What is drafted."""
    policy: PolicyName
    """Its newest revision counts."""
    since: Annotated[datetime, Field(strict=False)] | None = None
    """First moment of the period, with a zone; null for all before."""
    until: Annotated[datetime, Field(strict=False)] | None = None
    """First moment after the period, with a zone; null for now."""


class ReleaseBody(Body):
    """Pay escrow out."""

    kind: Literal["release"]
    """What is drafted."""
    policy: PolicyName
    """Whose escrow."""
    reason: Words
    """Why, in words: a better version, an agreement."""
    amounts: dict[Annotated[str, Field(max_length=1000)], Annotated[int, Field(ge=1)]] | None = None
    """Minor units by owner; null releases all of it."""


class ReversalBody(Body):
    """Take a posted run back."""

    kind: Literal["reversal"]
    """What is drafted."""
    run: Annotated[str, Field(max_length=64)]
    """The posted run."""
    reason: Words
    """Why, in words."""


class RunBody(Body):
    """A statement run that is to be drafted."""

    draft: Annotated[AllocationBody | ReleaseBody | ReversalBody, Field(discriminator="kind")]
    """What it does."""


class RunStep(Document):
    """What became of a run."""

    step: Step
    """`approval`, `posting` or `void`."""
    person: str
    """Who did it."""
    at: str
    """When, UTC."""


class RunDocument(Document):
    """A statement run."""

    id: str
    """Names it, and its statement."""
    kind: Literal["allocation", "release", "reversal"]
    """What it does."""
    state: State
    """Where it stands."""
    policy: str
    """Name of its policy."""
    revision: int
    """Of the policy."""
    currency: str
    """Of all amounts."""
    minor_digits: int
    """Decimal digits of the currency's minor unit."""
    drafted_by: str
    """Who drafted it: another person must approve."""
    drafted_at: str
    """When, UTC."""
    steps: list[RunStep]
    """In their order."""

    @classmethod
    def of(cls, row: "RunRow") -> "RunDocument":
        """Describe a run."""
        return cls(**run_values(row))


def run_values(row: "RunRow") -> dict[str, object]:
    """The fields of a `RunDocument`."""
    steps = [{"step": step, "person": person, "at": at} for step, (person, at) in row.steps.items()]
    kept = {key: value for key, value in vars(row).items() if key not in {"sequence", "steps"}}
    return {
        **kept,
        "state": row.state,
        "minor_digits": minor_digits(row.currency),
        "steps": sorted(steps, key=lambda step: step["at"]),
    }


class RunPage(Document):
    """Some runs, the newest first."""

    runs: list[RunDocument]
    """At most `limit`."""
    next: int | None
    """Pass it as `before` for the page that follows; null on the last one."""


class StatementLine(Document):
    """One owner's part of a run."""

    owner: str
    """Who is credited."""
    earned: int
    """The lower bounds of the owner's shares."""
    brought: int
    """Carried from earlier runs, since it was below the floor."""
    payable: int
    """To be paid out now."""
    carried: int
    """Kept for the next run, since it is below the floor."""
    escrow: int
    """The rest of the shares: held until they are better known."""


class StatementTotals(Document):
    """What all lines add up to; null where the key does not see every owner."""

    pool: int
    """What is divided."""
    payable: int
    """Paid out now."""
    carried: int
    """Kept below the floor."""
    escrow: int
    """Held."""
    unallocated: int
    """Of events where no owner's sum is positive."""


class StatementDocument(RunDocument):
    """A run's statement: each owner's line."""

    reason: str | None
    """Of a release or a reversal."""
    since: str | None
    """First moment of the period; null for all before, or where there is none."""
    until: str | None
    """First moment after it; null where there is none."""
    events: int
    """Events that are paid for."""
    refused: list[RefusedEvent]
    """Events that are not, and why."""
    lines: list[StatementLine]
    """By owner."""
    totals: StatementTotals | None
    """What they add up to; null where the key does not see every owner."""
    sha256: str
    """Digest of the whole statement."""


class EntryDocument(Document):
    """One entry of the ledger."""

    sequence: int
    """Journal record of its posting."""
    line: int
    """Number within the transaction."""
    run: str
    """The run that was posted."""
    policy: str
    """Name of its policy."""
    account: Account
    """Which account."""
    owner: str | None
    """Whose."""
    currency: str
    """Of the amount."""
    amount: int
    """Minor units: into the account, or out of it where negative."""

    @classmethod
    def of(cls, row: "EntryRow") -> "EntryDocument":
        """Describe an entry."""
        kept = {key: value for key, value in vars(row).items() if key not in {"entry", "run_id"}}
        return cls(run=row.run_id, **kept, **row.entry.model_dump())


class LedgerPage(Document):
    """Some entries, in their order."""

    entries: list[EntryDocument]
    """At most `limit`."""
    next: str | None
    """Pass it as `after` for the page that follows; null on the last one."""


class BalanceDocument(Document):
    """What is in an account."""

    policy: str
    """Name of its policy."""
    account: Account
    """Which account."""
    owner: str | None
    """Whose."""
    currency: str
    """Of the amount."""
    minor_digits: int
    """Decimal digits of its minor unit."""
    amount: int
    """Minor units."""

    @classmethod
    def of(cls, balance: "Balance") -> "BalanceDocument":
        """Describe a balance."""
        return cls(minor_digits=minor_digits(balance.currency), **vars(balance))


class BalanceList(Document):
    """Accounts by policy, account and owner."""

    balances: list[BalanceDocument]
    """All that the key sees."""
    journal: int
    """Sequence of the journal's last record."""


class FindingDocument(Document):
    """Something that is wrong."""

    where: str
    """Table and row."""
    what: str
    """What is wrong there."""


class VerificationDocument(Document):
    """What was found when everything was verified."""

    records: int
    """Records of the journal."""
    head: str
    """Hash of the last one: note it elsewhere."""
    events: int
    """Booked events."""
    runs: int
    """Statement runs."""
    posted: int
    """Those that are posted."""
    findings: list[FindingDocument]
    """What is wrong, the first hundred of it; empty where nothing is."""
