"""SQL of ledger entries and account balances."""

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
    """A stored entry."""

    sequence: int
    line: int
    run_id: str
    policy: str
    currency: str
    entry: Entry


@dataclass(frozen=True)
class Balance:
    """The balance of an account."""

    policy: str
    currency: str
    account: str
    owner: str | None
    amount: int

    @property
    def place(self) -> tuple[str, str, str, str]:
        """Return the policy, account, owner and currency, which order the balances."""
        return self.policy, self.account, self.owner or "", self.currency


@dataclass(frozen=True)
class Posting:
    """The run and the journal record of some entries."""

    sequence: int
    run_id: str
    policy: str
    currency: str


async def add(transaction: Connection, posting: Posting, entries: Sequence[Entry]) -> None:
    """Add the entries of a posted run.

    Args:
        transaction: The transaction that wrote the journal record.
        posting: The run and its record.
        entries: The entries. They add up to zero.
    """
    rows = [
        {**vars(posting), "line": line, **entry.model_dump()} for line, entry in enumerate(entries, start=1)
    ]
    if rows:
        await transaction.execute(insert(ledger_entries), rows)


async def balances(transaction: Connection, policy: str, upto: int | None = None) -> dict[AccountKey, int]:
    """Return the balance of each account of a policy.

    Args:
        transaction: An open transaction.
        policy: Name of the policy.
        upto: Sequence of the last record to count. None counts all records.
    """
    account, owner = ledger_entries.c.account, ledger_entries.c.owner
    chosen = select(account, owner, func.sum(ledger_entries.c.amount)).where(
        ledger_entries.c.policy == policy
    )
    if upto is not None:
        chosen = chosen.where(ledger_entries.c.sequence <= upto)
    found = await transaction.execute(chosen.group_by(account, owner))
    return {(row[0], row[1]): int(row[2]) for row in found}


async def account_balances(
    transaction: Connection, policy: str | None, owners: Collection[str] | None
) -> list[Balance]:
    """Return balances by policy, account and owner.

    Args:
        transaction: An open transaction.
        policy: Only accounts of this policy.
        owners: Only accounts of these owners. None for all accounts, including those without an owner.
    """
    columns = [ledger_entries.c[name] for name in ("policy", "currency", "account", "owner")]
    chosen = _narrowed(select(*columns, func.sum(ledger_entries.c.amount)), policy, owners)
    found = [
        Balance(row[0], row[1], row[2], row[3], int(row[4]))
        for row in await transaction.execute(chosen.group_by(*columns))
    ]
    return sorted(found, key=lambda each: each.place)


async def page(
    transaction: Connection,
    after: tuple[int, int] | None,
    limit: int,
    *,
    policy: str | None = None,
    owners: Collection[str] | None = None,
) -> list[EntryRow]:
    """Return entries in the order of the journal.

    Args:
        transaction: An open transaction.
        after: Only entries after this sequence and line.
        limit: Most entries to return.
        policy: Only entries of this policy.
        owners: Only entries of these owners. None for all.
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
