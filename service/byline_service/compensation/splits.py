"""Splits: the parties that get the payable amounts of owners.

A run decides attribution, holds and floors by owner. Then each payable amount is divided, once, by the owner's rows of
the rights table. A label without rows has those of its party's name, or is paid as that party: all labels of a party
are one payee.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from byline_service.compensation.parties import PartyBook
from byline_service.compensation.policy import Policy
from byline_service.compensation.rights import RightsBook, RightsRow, RightsTable, Split, divide, last_day
from byline_service.compensation.runs import RunConflict
from byline_service.compensation.statements import AllocationStatement, ReleaseStatement, Statement


@dataclass(frozen=True)
class PartyShares:
    """The rights tables and the aliases that count after a journal record."""

    tables: Sequence[tuple[int, RightsTable]] = ()
    """Sequence and newest revision of the table of each index, in the order of sequences."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Alias -> name of its party."""

    def splits(self, amounts: Mapping[str, int], day: str) -> tuple[Split, ...]:
        """Divide payable amounts.

        Args:
            amounts: Minor units by owner, none of them negative.
            day: Day on which rows must be valid, as `2026-03-31`.

        Returns:
            The parts by owner, without owners who get their whole amount themselves.

        Raises:
            RunConflict: Two tables have different rows of an owner.
        """
        names = {owner: self.aliases.get(owner, owner) for owner in amounts}
        rows = self._rows({*names, *names.values()}, day)
        found: list[Split] = []
        for owner, amount in sorted(amounts.items()):
            label = owner if owner in rows else names[owner]
            if label in rows:
                sequence, own = rows[label]
                parts = divide(own, label, amount, day)
                found += [part.model_copy(update={"owner": owner, "table": sequence}) for part in parts]
            elif label != owner and amount:
                found.append(Split(owner=owner, right=None, party=label, amount=amount))
        return tuple(found)

    def _rows(self, wanted: set[str], day: str) -> dict[str, tuple[int, list[RightsRow]]]:
        """Find the rows of labels that are valid on a day, and the sequence of their table."""
        found: dict[str, tuple[int, list[RightsRow]]] = {}
        for sequence, table in self.tables:
            by_owner = defaultdict[str, list[RightsRow]](list)
            for row in table.rows:
                if row.owner in wanted and row.valid(day):
                    by_owner[row.owner].append(row)
            for owner, own in by_owner.items():
                if _shares(found.setdefault(owner, (sequence, own))[1]) != _shares(own):
                    raise RunConflict(
                        "expected the same rows of an owner in the rights tables of the policy's indexes, got others in "
                        "one: revise a table, or use a policy for each index"
                    )
        return found


NO_SHARES = PartyShares()
"""No rights table and no alias: each owner is paid."""


def shares_at(policy: Policy, rights: RightsBook, parties: PartyBook, basis: int) -> PartyShares:
    """Return what divides the amounts of a policy after a journal record.

    Args:
        policy: The policy.
        rights: The rights tables of the ledger.
        parties: The parties of the ledger.
        basis: Sequence of the record.
    """
    tables = [(sequence, table) for sequence, table in rights.newest(basis) if policy.covers(table.index)]
    return PartyShares(tables, parties.aliases(basis))


def splits_now(statement: Statement, shares: PartyShares) -> tuple[Split, ...]:
    """Divide the payable amounts of a statement by other tables than those of its draft.

    Args:
        statement: The statement.
        shares: The tables and aliases.
    """
    if isinstance(statement, AllocationStatement):
        amounts = {line.owner: line.payable for line in statement.allocation.lines}
        return shares.splits(amounts, last_day(statement.until))
    if isinstance(statement, ReleaseStatement):
        return shares.splits({line.owner: line.amount for line in statement.lines}, statement.day)
    return ()


def require_current_splits(statement: Statement, shares: PartyShares) -> None:
    """Check that a statement divides by the newest tables and aliases.

    Args:
        statement: Statement of a run that is approved or posted.
        shares: The tables and aliases of this moment.

    Raises:
        RunConflict: A table or a party that divides one of its amounts was revised since the draft.
    """
    if isinstance(statement, AllocationStatement | ReleaseStatement) and (
        splits_now(statement, shares) != statement.splits
    ):
        raise RunConflict(
            "expected the rights tables and parties that the run was drafted on, they changed since: void the run and "
            "draft it again"
        )


def day_of(at: str) -> str:
    """Return the day of a time, as rows have it."""
    return at[:10]


def _shares(rows: Iterable[RightsRow]) -> list[tuple[str, str, int]]:
    return sorted((row.right, row.party, row.share) for row in rows)
