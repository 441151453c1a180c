"""SQL of payouts: the changes of payable accounts, and the bank's confirmations."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import func, insert, select

from byline_service.compensation.journal import PayoutConfirmed, Record
from byline_service.compensation.payouts import Due, Move, dues_of, reference_key
from byline_service.compensation.timestamps import parse_timestamp, timestamp_text
from byline_service.database import Connection
from byline_service.database.tables.compensation import (
    ledger_entries,
    payout_confirmations,
    run_steps,
    statement_runs,
)
from byline_service.ledger.statement_queries import RunRow


@dataclass(frozen=True)
class ConfirmationRow:
    """A stored confirmation."""

    sequence: int
    reference: str
    value_date: date
    person: str
    at: str


async def dues(transaction: Connection, policy: str) -> dict[str, Due]:
    """Return the state of a policy's payable accounts, by owner.

    Args:
        transaction: An open transaction.
        policy: Name of the policy.
    """
    run, taken = statement_runs, statement_runs.alias("taken")
    entry = ledger_entries.c
    chosen = (
        select(entry.owner, entry.amount, run.c.kind, taken.c.kind)
        .join(run, run.c.id == entry.run_id)
        .outerjoin(taken, taken.c.id == run.c.reverses)
        .where(entry.policy == policy, entry.account == "payable")
        .order_by(entry.sequence, entry.line)
    )
    return dues_of(
        Move(owner, amount, "payout" in kinds) for owner, amount, *kinds in await transaction.execute(chosen)
    )


async def receivables_before(
    transaction: Connection, run: RunRow, owner: str | None = None
) -> dict[str, int]:
    """Return what the owners of a run's policy owed before it was posted. Before the posting, what they owe now.

    Args:
        transaction: An open transaction.
        run: The run.
        owner: The only owner. None for all.
    """
    step, entry = run_steps.c, ledger_entries.c
    posted = select(step.sequence).where(step.run_id == run.id, step.step == "posting").scalar_subquery()
    total = func.sum(entry.amount)
    chosen = select(entry.owner, total).where(entry.policy == run.policy, entry.account == "payable")
    if owner is not None:
        chosen = chosen.where(entry.owner == owner)
    if run.state == "posted":
        chosen = chosen.where(entry.sequence < posted)
    found = await transaction.execute(chosen.group_by(entry.owner).having(total < 0))
    return {owner: -int(balance) for owner, balance in found}


async def confirmation(transaction: Connection, run_id: str) -> ConfirmationRow | None:
    """Return the confirmation of a payout. None if there is none."""
    chosen = select(payout_confirmations).where(payout_confirmations.c.run_id == run_id)
    row = (await transaction.execute(chosen)).first()
    if row is None:
        return None
    return ConfirmationRow(row.sequence, row.reference, row.value_date, row.person, timestamp_text(row.at))


async def has_reference(transaction: Connection, reference: str) -> bool:
    """Return whether a confirmed payout has this reference."""
    key = payout_confirmations.c.reference_key
    chosen = select(key).where(key == reference_key(reference))
    return (await transaction.execute(chosen)).first() is not None


async def add_confirmation(transaction: Connection, record: Record) -> None:
    """Add a confirmation.

    Args:
        transaction: The transaction that wrote the journal record.
        record: The record of the confirmation.
    """
    fact = record.fact
    assert isinstance(fact, PayoutConfirmed)
    values = {
        "run_id": fact.run,
        "sequence": record.sequence,
        "reference": fact.reference,
        "reference_key": reference_key(fact.reference),
        "value_date": fact.value_date,
        "person": record.person,
        "at": parse_timestamp(record.at),
        "key_id": fact.by.key,
    }
    await transaction.execute(insert(payout_confirmations).values(values))


async def returned_owners(transaction: Connection, run_id: str, sequence: int) -> set[str]:
    """Return the owners whose transfer the bank returned.

    Args:
        transaction: An open transaction.
        run_id: Run of the payout.
        sequence: Record of its confirmation.
    """
    entry = ledger_entries.c
    chosen = select(entry.owner).where(
        entry.sequence == sequence, entry.run_id == run_id, entry.account == "payable"
    )
    return set((await transaction.execute(chosen)).scalars())
