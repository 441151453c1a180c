"""Payouts as documents."""

from decimal import Decimal

from byline.api.payouts import PayoutDocument, PayoutLineDocument, PayoutState
from byline.errors import NotFound
from byline_service.compensation.credit_transfer import PostedPayout
from byline_service.compensation.money import format_minor, minor_digits
from byline_service.compensation.runs import RunConflict
from byline_service.compensation.statements import PayoutStatement
from byline_service.database import Connection
from byline_service.http.csv_cells import BYTE_ORDER_MARK, CsvForm
from byline_service.ledger import payout_queries, statement_queries
from byline_service.ledger.payout_queries import ConfirmationRow
from byline_service.ledger.statement_queries import RunRow

COLUMNS = (
    "payout",
    "state",
    "policy",
    "reference",
    "value_date",
    "owner",
    "payee",
    "iban",
    "bic",
    "currency",
    "amount",
    "netted",
    "returned",
)


async def read_payout(reading: Connection, run_id: str) -> PayoutDocument:
    """Return a payout.

    Args:
        reading: An open transaction.
        run_id: Id of its run.

    Raises:
        NotFound: There is no such payout.
    """
    row, run = await statement_queries.find(reading, run_id)
    if not isinstance(run.statement, PayoutStatement):
        raise NotFound("expected the id of a payout, got the one of another run")
    confirmed = await payout_queries.confirmation(reading, run_id)
    returned = set[str]()
    if confirmed is not None:
        returned = await payout_queries.returned_owners(reading, run_id, confirmed.sequence)
    return _document(row, run.statement, confirmed, returned)


async def read_posted(reading: Connection, run_id: str) -> PostedPayout:
    """Return a payout for the bank's file.

    Args:
        reading: An open transaction.
        run_id: Id of its run.

    Raises:
        NotFound: There is no such payout.
        RunConflict: It is not posted.
    """
    row, run = await statement_queries.find(reading, run_id)
    if not isinstance(run.statement, PayoutStatement):
        raise NotFound("expected the id of a payout, got the one of another run")
    if row.state != "posted" or await statement_queries.is_reversed(reading, run_id):
        raise RunConflict(
            "expected a posted payout that is not reversed: two persons post it before the bank gets it"
        )
    return PostedPayout(row.id, row.steps["posting"].at, run.statement)


def payout_csv(payout: PayoutDocument, form: CsvForm) -> str:
    """Return a payout's lines as CSV. Amounts are in major units.

    Args:
        payout: The payout.
        form: Form of the file.
    """
    rows: list[list[object]] = [list(COLUMNS)]
    head = [payout.id, payout.state, payout.policy, payout.reference, payout.value_date]
    for line in payout.lines:
        account = [line.payee.name, line.payee.iban, line.payee.bic] if line.payee else [None] * 3
        amounts = [Decimal(format_minor(each, payout.currency)) for each in (line.amount, line.netted)]
        rows.append(
            [*head, line.owner, *account, payout.currency, *amounts, "yes" if line.returned else "no"]
        )
    return BYTE_ORDER_MARK + form.lines(rows)


def _document(
    row: RunRow, statement: PayoutStatement, confirmed: ConfirmationRow | None, returned: set[str]
) -> PayoutDocument:
    state: PayoutState = row.state if confirmed is None else "paid"
    return PayoutDocument(
        id=row.id,
        state=state,
        policy=row.policy,
        currency=row.currency,
        minor_digits=minor_digits(row.currency),
        prepared_by=row.drafted_by,
        prepared_at=row.drafted_at,
        total=sum(line.amount for line in statement.lines),
        lines=[
            PayoutLineDocument(returned=line.owner in returned, **line.model_dump())
            for line in statement.lines
        ],
        receivables=list(statement.receivables),
        reference=confirmed and confirmed.reference,
        value_date=confirmed and confirmed.value_date.isoformat(),
        confirmed_by=confirmed and confirmed.person,
        confirmed_at=confirmed and confirmed.at,
    )
