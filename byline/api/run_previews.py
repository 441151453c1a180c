"""The wire document of a draft that is computed and not stored."""

from typing import Literal

from byline.api.documents import Document
from byline.api.statements import RunWarning, StatementTotals


class RunPreview(Document):
    """The outcome of a draft, if it were made now."""

    kind: Literal["allocation", "adjustment"]
    """Kind of the draft."""
    policy: str
    """Name of the policy."""
    revision: int
    """Revision of the policy: the newest."""
    currency: str
    """Currency of all amounts."""
    minor_digits: int
    """Decimal digits of the currency's minor unit."""
    period: str
    """Name of the period."""
    since: str
    """Start of the period."""
    until: str
    """End of the period (exclusive)."""
    events: int
    """Number of unpaid events that the run would pay for."""
    late: int
    """Number of late events among them, of earlier periods."""
    refused: int
    """Number of events that the run would not pay for."""
    owners: int
    """Number of owners with a line."""
    totals: StatementTotals
    """Sums of the lines."""
    warnings: list[RunWarning]
    """Warnings that the approver would read."""
