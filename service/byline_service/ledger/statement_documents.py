"""Statements as documents and as CSV, narrowed to the owners that a key may see."""

from collections import Counter
from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any

from byline.api.statements import (
    RunDocument,
    RunHand,
    RunStep,
    StatementDocument,
    StatementLine,
    StatementTotals,
)
from byline.errors import NotFound
from byline_service.accounts.scopes import Caller
from byline_service.compensation.allocation import Line
from byline_service.compensation.money import format_minor, minor_digits
from byline_service.compensation.payouts import netted
from byline_service.compensation.run_warnings import in_words
from byline_service.compensation.runs import Run
from byline_service.compensation.statements import (
    AllocationStatement,
    ReleaseStatement,
    ReversalStatement,
    Statement,
)
from byline_service.database import Connection
from byline_service.http.csv_cells import BYTE_ORDER_MARK, CsvForm
from byline_service.ledger import payout_queries, statement_queries
from byline_service.ledger.hand_queries import hands_of
from byline_service.ledger.statement_queries import RunRow

COLUMNS = ("earned", "brought", "payable", "netted", "carried", "escrow", "held")


def run_document(row: RunRow, hands: Sequence[RunHand] = (), *, warned: bool = True) -> RunDocument:
    """Describe a run.

    Args:
        row: Row of the run.
        hands: Keys behind the draft and the steps.
        warned: Whether the reader sees all owners, and so the warnings.
    """
    steps = [
        RunStep(step=name, person=step.person, at=step.at, comment=step.comment)
        for name, step in row.steps.items()
    ]
    left_out = {"sequence", "steps", "key", "warnings"}
    kept = {name: value for name, value in vars(row).items() if name not in left_out}
    return RunDocument(
        **kept,
        state=row.state,
        minor_digits=minor_digits(row.currency),
        steps=sorted(steps, key=lambda step: step.at),
        warnings=[in_words(each, row.currency) for each in row.warnings] if warned else [],
        hands=list(hands),
    )


async def read_statement(
    reading: Connection, caller: Caller, run_id: str, owner: str | None
) -> StatementDocument:
    """Return a statement as a caller may see it.

    Args:
        reading: An open transaction.
        caller: The reader. A key with owners sees their lines of posted runs.
        run_id: The run.
        owner: Only the line of this owner. None for all.

    Returns:
        The statement. It has totals if it includes every owner.

    Raises:
        NotFound: There is no such run, or none that the key may see.
        Forbidden: The key does not see this owner.
    """
    if owner is not None:
        caller.require_owner(owner)
    row, run = await statement_queries.find(reading, run_id)
    owners: Collection[str] | None = caller.owners if owner is None else {owner}
    lines = await statement_queries.lines(reading, run_id, owners)
    if caller.owners is not None and (row.state != "posted" or not lines):
        raise NotFound("expected the id of a posted run with a line of an owner that this key sees")
    hands = [] if caller.owners is not None else await hands_of(reading, row)
    shown = await statement_lines(reading, row, lines)
    return _document(row, run, hands, shown, whole=owners is None, all_events=caller.owners is None)


async def statement_lines(reading: Connection, row: RunRow, lines: Sequence[Line]) -> list[StatementLine]:
    """Describe lines of a run, with the part of each that pays a receivable back.

    Args:
        reading: An open transaction.
        row: Row of the run.
        lines: Lines of the run.
    """
    only = lines[0].owner if len(lines) == 1 else None
    owing = await payout_queries.receivables_before(reading, row, only)
    return [
        StatementLine(netted=netted(line.payable, owing.get(line.owner, 0)), **line.model_dump())
        for line in lines
    ]


def _document(
    row: RunRow, run: Run, hands: list[RunHand], lines: list[StatementLine], *, whole: bool, all_events: bool
) -> StatementDocument:
    statement = run.statement
    divided = statement if isinstance(statement, AllocationStatement) else None
    return StatementDocument.model_validate(
        {
            **run_document(row, hands, warned=all_events).model_dump(),
            "reason": _reason(statement) if all_events else None,  # the reason may name other owners
            "account": statement.account if isinstance(statement, ReleaseStatement) else None,
            "since": divided.since if divided else None,
            "until": divided.until if divided else None,
            "events": len(divided.events) if divided else 0,
            "asked": Counter(event.asked for event in divided.events) if divided else {},
            "late": divided.late if divided else 0,
            "refused": divided.refused if divided and all_events else [],
            "restrictions": _restrictions(statement) if all_events else [],
            "lines": lines,
            "splits": _splits(statement, {line.owner for line in lines}),
            "totals": statement_totals(statement) if whole else None,
            "sha256": statement.sha256,
        }
    )


def _reason(statement: Statement) -> str | None:
    return statement.reason if isinstance(statement, ReleaseStatement | ReversalStatement) else None


def _restrictions(statement: Statement) -> list[dict[str, Any]]:
    named = () if isinstance(statement, ReversalStatement) else statement.restrictions
    return [each.document() for each in named]


def _splits(statement: Statement, owners: Collection[str]) -> list[dict[str, Any]]:
    if not isinstance(statement, AllocationStatement | ReleaseStatement):
        return []
    return [each.document() for each in statement.splits if each.owner in owners]


def statement_totals(statement: Statement) -> StatementTotals:
    """Sum the lines of a statement."""
    sums = Counter[str]()
    for entry in statement.entries():
        sums[entry.account] += entry.amount
    kept = {name: sums[name] for name in ("payable", "unclaimed", "carried", "escrow", "held", "unallocated")}
    return StatementTotals(pool=-sums["funding"], **kept)


def statement_csv(statement: StatementDocument, form: CsvForm) -> str:
    """Return a statement's lines as CSV. Amounts are in major units.

    Args:
        statement: The statement as its reader may see it.
        form: Form of the file.

    Returns:
        CSV with a header.
    """
    currency = statement.currency
    head = [statement.id, statement.policy, statement.revision, statement.state]
    rows: list[list[object]] = [["statement", "policy", "revision", "state", "owner", "currency", *COLUMNS]]
    for line in statement.lines:
        amounts = [Decimal(format_minor(getattr(line, column), currency)) for column in COLUMNS]
        rows.append([*head, line.owner, currency, *amounts])
    return BYTE_ORDER_MARK + form.lines(rows)
