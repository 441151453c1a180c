"""Each owner's rows with the largest scores in absolute value: the works behind an owner's sum.

Letters: R rows, O owners, N chosen rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TopWorks:
    """The chosen rows of all owners, by owner, and of each owner by their absolute scores."""

    rows_N: NDArray[np.int64]
    """[N]"""
    scores_N: NDArray[np.float64]
    """[N]: means over the members."""
    starts_O: NDArray[np.int64]
    """[O + 1]: position of each owner's first row in `rows_N`."""

    def of(self, owner: int) -> slice:
        """Return the positions of an owner's rows."""
        return slice(int(self.starts_O[owner]), int(self.starts_O[owner + 1]))


def top_works(scores_R: NDArray[np.float32], owner_R: NDArray[np.int32], owners: int, most: int) -> TopWorks:
    """Choose each owner's rows with the largest scores in absolute value, ties by row.

    Args:
        scores_R: Score of each row.
        owner_R: Owner of each row, -1 for none.
        owners: O.
        most: Rows of an owner to choose.

    Returns:
        At most `most` rows of each owner.
    """
    owned = np.flatnonzero(owner_R >= 0)
    order = owned[
        np.lexsort((-np.abs(scores_R[owned]), owner_R[owned]))
    ]  # stable: ties stay in the order of rows
    counts_O = np.bincount(owner_R[owned], minlength=owners)
    firsts_O = np.cumsum(counts_O) - counts_O
    place = np.arange(len(order)) - firsts_O[owner_R[order]]
    rows_N = order[place < most]
    return TopWorks(
        rows_N=rows_N,
        scores_N=scores_R[rows_N].astype(np.float64),
        starts_O=np.concatenate([[0], np.cumsum(np.minimum(counts_O, most))]).astype(np.int64),
    )
