"""The change of owners' amounts from one run to another."""

from collections.abc import Sequence
from dataclasses import dataclass

from byline.api.statements import StatementDocument


@dataclass(frozen=True)
class OwnerChange:
    """The change of one owner's payable amount."""

    owner: str
    before: int
    after: int

    @property
    def change(self) -> int:
        """Return the difference."""
        return self.after - self.before


def owner_changes(before: StatementDocument, after: StatementDocument) -> list[OwnerChange]:
    """Compare the payable amounts of two runs by owner, the largest change first.

    Args:
        before: The earlier run.
        after: The later run, in the same currency.

    Returns:
        Changes of all owners of either run that are not zero.
    """
    old = {line.owner: line.payable for line in before.lines}
    new = {line.owner: line.payable for line in after.lines}
    found = [OwnerChange(owner, old.get(owner, 0), new.get(owner, 0)) for owner in {*old, *new}]
    return sorted((each for each in found if each.change), key=lambda each: (-abs(each.change), each.owner))


def sums(statement: StatementDocument) -> dict[str, int]:
    """Return the figures of a run that two runs are compared by.

    Args:
        statement: The statement as its reader may see it.
    """
    totals = {
        name: sum(getattr(line, name) for line in statement.lines)
        for name in ("payable", "escrow", "held", "carried")
    }
    return ({"pool": statement.totals.pool} if statement.totals else {}) | totals


def figures(before: StatementDocument, after: StatementDocument) -> Sequence[tuple[str, int, int]]:
    """Return the sums of two runs side by side: (name, before, after)."""
    old, new = sums(before), sums(after)
    return [(name, old.get(name, 0), new[name]) for name in new]
