"""Wire documents of payouts. Amounts are integers in minor units of the currency."""

from typing import Annotated, Literal

from pydantic import Field

from byline.api.compensation import PolicyName
from byline.api.documents import Body, Document, StoredDocument

Owner = Annotated[str, Field(max_length=1000)]
Amount = Annotated[int, Field(ge=1)]
PayoutState = Literal["draft", "approved", "rejected", "void", "posted", "paid"]
"""`posted` is with the bank, and `paid` is confirmed by its statement."""
Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class Payee(StoredDocument):
    """The account that an owner is paid to."""

    name: Annotated[str, Field(min_length=1, max_length=140)]
    """Name of the account's holder."""
    iban: Annotated[str, Field(pattern=r"^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$")]
    """IBAN without spaces."""
    bic: Annotated[str, Field(pattern=r"^[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?$")] | None = None
    """BIC of the bank. Null within SEPA."""


class PayoutBody(Body):
    """A payout to prepare."""

    policy: PolicyName
    """Name of the policy whose payable amounts are paid."""
    amounts: dict[Owner, Amount] | None = None
    """Minor units by owner. Null pays the whole payable balance of every owner without a hold, a dispute or a missing
    consent. An owner with one must be named."""
    payees: dict[Owner, Payee] = Field(default_factory=dict)
    """Accounts of owners. A file for the bank needs one for each owner."""


class ConfirmationBody(Body):
    """The bank's statement of a payout."""

    reference: Annotated[str, Field(min_length=1, max_length=140)]
    """Reference of the bank. No two payouts have the same one."""
    value_date: Day
    """Value date of the transfer: `2026-04-03`."""
    returned: Annotated[list[Owner], Field(max_length=100_000)] = Field(default_factory=list)
    """Owners whose transfer the bank returned. Their amounts are payable again."""


class PayoutLineDocument(Document):
    """The amount of one owner in a payout."""

    owner: str
    """Name of the owner."""
    amount: int
    """Amount to transfer."""
    netted: int
    """Receivable that the owner's runs have paid back since the last payout. The amount is what was left."""
    payee: Payee | None
    """Account that the owner is paid to. Null if none was given."""
    returned: bool
    """Whether the bank returned the transfer."""


class Receivable(StoredDocument):
    """An amount that an owner got and that a reversal took back. The next runs net it."""

    owner: str
    """Name of the owner."""
    amount: Annotated[int, Field(strict=True, ge=1)]
    """Amount in minor units."""


class PayoutDocument(Document):
    """A payout. It is a statement run: the runs' approval, posting, rejection and void apply to it."""

    id: str
    """Id of the run."""
    state: PayoutState
    """State of the payout."""
    policy: str
    """Name of the policy."""
    currency: str
    """Currency of all amounts."""
    minor_digits: int
    """Decimal digits of the currency's minor unit."""
    prepared_by: str
    """Person who prepared the payout. Another person approves and confirms it."""
    prepared_at: str
    """Time of the preparation in UTC."""
    total: int
    """Sum of the amounts."""
    lines: list[PayoutLineDocument]
    """Lines, ordered by owner."""
    receivables: list[Receivable]
    """Owners who owed an amount at the time of the preparation. They get nothing."""
    reference: str | None
    """Reference of the bank. Null before the confirmation."""
    value_date: str | None
    """Value date of the transfer. Null before the confirmation."""
    confirmed_by: str | None
    """Person who confirmed the transfer."""
    confirmed_at: str | None
    """Time of the confirmation in UTC."""
