"""SQL of owners' accounts under a policy, of an owner's lines, and of sums of runs by owner."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Select, case, func, select

from byline.api.owner_accounts import OwnerAccounts
from byline_service.compensation.allocation import Line
from byline_service.database import Connection
from byline_service.database.tables.compensation import ledger_entries, statement_lines
from byline_service.ledger import statement_queries
from byline_service.ledger.statement_queries import RunRow

ACCOUNTS = ("payable", "escrow", "held", "carried")
Owners = Collection[str] | None
"""Owners that a reader sees. None for all."""


async def accounts(transaction: Connection, policy: str, owners: Owners) -> list[OwnerAccounts]:
    """Return the accounts of owners under a policy.

    Args:
        transaction: An open transaction.
        policy: Name of the policy.
        owners: Only these owners. None for all.
    """
    sums = [
        func.sum(case((ledger_entries.c.account == name, ledger_entries.c.amount), else_=0))
        for name in ACCOUNTS
    ]
    chosen = (
        select(ledger_entries.c.owner, *sums)
        .where(ledger_entries.c.policy == policy, ledger_entries.c.owner.is_not(None))
        .group_by(ledger_entries.c.owner)
    )
    if owners is not None:
        chosen = chosen.where(ledger_entries.c.owner.in_(owners))
    rows = await transaction.execute(chosen)
    return [
        OwnerAccounts.model_construct(
            owner=row[0], payable=int(row[1]), escrow=int(row[2]), held=int(row[3]), carried=int(row[4])
        )
        for row in rows
    ]


async def totals(transaction: Connection, policy: str, owners: Owners) -> dict[str, int]:
    """Return the balance of each account of a policy, summed over owners.

    Args:
        transaction: An open transaction.
        policy: Name of the policy.
        owners: Only accounts of these owners. None for all, including those without an owner.
    """
    chosen = (
        select(ledger_entries.c.account, func.sum(ledger_entries.c.amount))
        .where(ledger_entries.c.policy == policy)
        .group_by(ledger_entries.c.account)
    )
    if owners is not None:
        chosen = chosen.where(ledger_entries.c.owner.in_(owners))
    return {row[0]: int(row[1]) for row in await transaction.execute(chosen)}


async def lines_of_owner(
    transaction: Connection, owner: str, before: int | None, limit: int
) -> list[tuple[RunRow, Line]]:
    """Return an owner's lines of posted runs, the newest first.

    Args:
        transaction: An open transaction.
        owner: The owner.
        before: Only runs older than this sequence.
        limit: Most lines to return.
    """
    runs = await statement_queries.posted_page(transaction, before, limit, {owner})
    chosen = select(statement_lines).where(
        statement_lines.c.owner == owner, statement_lines.c.run_id.in_([run.id for run in runs])
    )
    found = {
        row["run_id"]: Line.model_validate({key: row[key] for key in Line.model_fields})
        for row in (await transaction.execute(chosen)).mappings()
    }
    return [(run, found[run.id]) for run in runs]


async def payable_of_runs(transaction: Connection, runs: Sequence[str], owners: Owners) -> dict[str, int]:
    """Return the payable amount of each run, summed over owners.

    Args:
        transaction: An open transaction.
        runs: Ids of runs.
        owners: Only lines of these owners. None for all.
    """
    chosen = select(statement_lines.c.run_id, func.sum(statement_lines.c.payable))
    chosen = _lines(chosen, runs, owners).group_by(statement_lines.c.run_id)
    return {row[0]: int(row[1]) for row in await transaction.execute(chosen)}


async def payable_of_largest(
    transaction: Connection, runs: Sequence[str], owners: Owners, most: int
) -> Mapping[str, Mapping[str, int]]:
    """Return the payable amounts of the owners with the largest positive sums over runs, by owner and run.

    Args:
        transaction: An open transaction.
        runs: Ids of runs.
        owners: Only these owners. None for all.
        most: Most owners to return.
    """
    summed = func.sum(statement_lines.c.payable)
    largest = (
        _lines(select(statement_lines.c.owner), runs, owners)
        .group_by(statement_lines.c.owner)
        .having(summed > 0)
        .order_by(summed.desc(), statement_lines.c.owner)
        .limit(most)
    )
    names = list((await transaction.execute(largest)).scalars())
    chosen = _lines(
        select(statement_lines.c.owner, statement_lines.c.run_id, statement_lines.c.payable), runs, names
    )
    found: dict[str, dict[str, int]] = {name: {} for name in names}
    for owner, run, payable in await transaction.execute(chosen):
        found[owner][run] = int(payable)
    return found


def _lines(chosen: Select[Any], runs: Sequence[str], owners: Owners) -> Select[Any]:
    narrowed = chosen.where(statement_lines.c.run_id.in_(runs))
    return narrowed if owners is None else narrowed.where(statement_lines.c.owner.in_(owners))
