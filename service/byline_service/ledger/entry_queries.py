"""Entries of posted runs, and what they add up to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, insert, or_, select

from byline_service.compensation.runs import AccountKey
from byline_service.compensation.statements import Entry
from byline_service.database import Connection
from byline_service.database.tables.compensation import ledger_entries


@dataclass(frozen=True)
class EntryRow:
    """An entry where it is stored."""

    sequence: int
    line: int
    run_id: str
    policy: str
    currency: str
    entry: Entry


@dataclass(frozen=True)
class Balance:
    """What is in an account."""

    policy: str
    currency: str
    account: str
    owner: str | None
    amount: int


@dataclass(frozen=True)
class Posting:
    """Where a run's entries go."""

    sequence: int
    run_id: str
    policy: str
    currency: str


async def add(transaction: Connection, posting: Posting, entries: Sequence[Entry]) -> None:
    """Add a transaction's entries, whose record was written.

    Args:
        transaction: The one that wrote it.
        posting: Where they go.
        entries: They add up to zero.
    """
    rows = [
        {**vars(posting), "line": line, **entry.model_dump()} for line, entry in enumerate(entries, start=1)
    ]
    if rows:
        await transaction.execute(insert(ledger_entries), rows)


async def balances(transaction: Connection, policy: str, upto: int | None = None) -> dict[AccountKey, int]:
    """Add up a policy's accounts.

    Args:
        transaction: An open transaction.
        policy: Its name.
        upto: Sequence of the last record that counts; None counts all.
    """
    account, owner = ledger_entries.c.account, ledger_entries.c.owner
    chosen = select(account, owner, func.sum(ledger_entries.c.amount)).where(
        ledger_entries.c.policy == policy
    )
    if upto is not None:
        chosen = chosen.where(ledger_entries.c.sequence <= upto)
    found = await transaction.execute(chosen.group_by(account, owner))
    return {(row[0], row[1]): int(row[2]) for row in found}


async def balance_page(
    transaction: Connection, policy: str | None, owners: Collection[str] | None
) -> list[Balance]:
    """Add up accounts, by policy, account and owner.

    Args:
        transaction: An open transaction.
        policy: Only of this policy.
        owners: Only of these owners; None takes all, and the accounts that are nobody's.
    """
    columns = [ledger_entries.c[name] for name in ("policy", "currency", "account", "owner")]
    chosen = _narrowed(select(*columns, func.sum(ledger_entries.c.amount)), policy, owners)
    found = [
        Balance(row[0], row[1], row[2], row[3], int(row[4]))
        for row in await transaction.execute(chosen.group_by(*columns))
    ]
    return sorted(found, key=lambda each: (each.policy, each.account, each.owner or ""))


async def page(
    transaction: Connection,
    after: tuple[int, int] | None,
    limit: int,
    *,
    policy: str | None = None,
    owners: Collection[str] | None = None,
) -> list[EntryRow]:
    """Read entries in their order.

    Args:
        transaction: An open transaction.
        after: Only entries after this sequence and line.
        limit: How many at most.
        policy: Only of this policy.
        owners: Only of these owners; None takes all.
    """
    sequence, line = ledger_entries.c.sequence, ledger_entries.c.line
    chosen = _narrowed(select(ledger_entries), policy, owners).order_by(sequence, line).limit(limit)
    if after is not None:
        chosen = chosen.where(or_(sequence > after[0], (sequence == after[0]) & (line > after[1])))
    return [
        EntryRow(
            row["sequence"],
            row["line"],
            row["run_id"],
            row["policy"],
            row["currency"],
            Entry(account=row["account"], owner=row["owner"], amount=row["amount"]),
        )
        for row in (await transaction.execute(chosen)).mappings()
    ]


def _narrowed(chosen: Select[Any], policy: str | None, owners: Collection[str] | None) -> Select[Any]:
    if policy is not None:
        chosen = chosen.where(ledger_entries.c.policy == policy)
    if owners is not None:
        chosen = chosen.where(ledger_entries.c.owner.in_(owners))
    return chosen
