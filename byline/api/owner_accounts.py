"""Wire documents of owners' accounts under a policy, and of an owner's lines. Amounts are integers in minor units."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from byline.api.documents import Document
from byline.api.page import Page
from byline.api.statements import RunDocument, StatementLine

OwnerAccount = Literal["payable", "escrow", "held", "carried"]
"""Accounts of an owner under a policy."""
OwnerOrder = Literal["payable", "escrow", "held", "carried", "total", "owner"]
"""Columns by which owners can be sorted."""


class OwnerSearch(BaseModel):
    """The owners that a reader asks for, and their order."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    text: Annotated[str, Field(max_length=200)] = ""
    """Part of the owner's name, without regard to case and accents."""
    holding: OwnerAccount | None = None
    """Account that must hold an amount. Null selects all owners."""
    sort: OwnerOrder = "payable"
    """Column of the order."""
    order: Literal["asc", "desc"] = "desc"
    """Direction of the order."""


class OwnerAccountsQuery(OwnerSearch):
    """The query parameters of a list of owners' accounts."""

    policy: Annotated[str, Field(max_length=64)]
    """Name of a policy."""
    after: Annotated[str | None, Field(max_length=8000)] = None
    """Cursor: `next` of the previous page of the same list."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Most entries of the page."""


class OwnerAccounts(Document):
    """The balances of one owner's accounts under a policy."""

    owner: str
    """Name of the owner."""
    payable: int
    """Amount due, in minor units."""
    escrow: int
    """Amount held until the shares are better known."""
    held: int
    """Amount behind a hold, a dispute or a missing consent."""
    carried: int
    """Amount below the floor, carried into the next run."""

    @property
    def total(self) -> int:
        """Return the sum of the accounts."""
        return self.payable + self.escrow + self.held + self.carried


class OwnerAccountsPage(Page[OwnerAccounts]):
    """A page of owners with their accounts under one policy."""

    currency: str
    """Currency of all amounts."""
    minor_digits: int
    """Decimal digits of the currency's minor unit."""
    found: int
    """Number of owners that match the search."""
    owners: int
    """Number of all owners that the key can see."""


class OwnerStatement(Document):
    """The line of one owner in a posted run."""

    run: RunDocument
    """The posted run."""
    line: StatementLine
    """The owner's amounts."""
