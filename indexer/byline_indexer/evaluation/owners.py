"""Find the owners of an index's rows, which metric `owner` leaves out one by one.

Letters: J rows of the index, S subsets.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from byline.errors import InvalidInput, InvalidTask
from byline.index.index import AttributionIndex
from byline.models.training_points import describe_row
from byline.task import Task
from byline_indexer.evaluation.designs import Subsets

LEAST = 3
"""Owners that a rank correlation is taken over, at least."""


@dataclass(frozen=True)
class OwnedRows:
    """Owners of the rows of an index."""

    owner_J: NDArray[np.int32]
    """Number of each row's owner. -1 for rows without an owner."""
    owners: int
    """Number of owners with at least one row."""

    @classmethod
    def of(cls, index: AttributionIndex) -> Self:
        """Read the owners of an opened index.

        Raises:
            InvalidInput: The index has fewer than `LEAST` owners, or groups that mix owners.
        """
        record = index.manifest.groups
        if record is not None and not record.owners_apart:
            raise InvalidInput(
                f"expected an index whose groups do not mix owners, for --metric owner, got one grouped by "
                f"'{record.options.by}': build one with groups.by = 'owner', or without groups"
            )
        found = cls(index.examples.owner_numbers(), len(index.examples.owners()))
        if found.owners < LEAST:
            raise InvalidInput(_too_few(found.owners))
        return found

    def require_whole(self, subsets_SJ: Subsets) -> None:
        """Require that each subset lacks the rows of one owner, all of them and no other.

        Raises:
            InvalidInput: A subset lacks other rows, or two lack the same owner.
        """
        left_out = [self.owner_J[~subset_J] for subset_J in subsets_SJ]
        rows_O = np.bincount(self.owner_J[self.owner_J >= 0])
        whole = [
            len(owner) > 0 and owner[0] >= 0 and (owner == owner[0]).all() and len(owner) == rows_O[owner[0]]
            for owner in left_out
        ]
        if not all(whole) or len({int(owner[0]) for owner in left_out}) < len(left_out):
            raise InvalidInput(
                f"expected subsets in the --truth file that each leave out all points of another owner, for --metric "
                f"owner, got {whole.count(False)} of {len(whole)} that do not: take --metric lds"
            )


def require_owners(task: Task) -> None:
    """Require that the training points have enough owners.

    Raises:
        InvalidTask: They have fewer than `LEAST`.
    """
    found = set[str]()
    for row in range(len(task.train_set)):
        owner = describe_row(task, row).owner
        if owner is not None:
            found.add(owner)
        if len(found) == LEAST:
            return
    raise InvalidTask(_too_few(len(found)))


def _too_few(found: int) -> str:
    return (
        f"expected training points of at least {LEAST} owners, for --metric owner, got {found}: set Example.owner in "
        f"Task.describe, or take --metric lds"
    )
