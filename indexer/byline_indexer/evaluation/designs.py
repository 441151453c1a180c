"""Draw the rows of an index that each retraining keeps, and the seeds of the trainings.

A longer list begins with the shorter one, so that asking for more retrains only what is new.

Letters: J rows of the index, S subsets, O owners.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byline.errors import InvalidInput

Subsets = NDArray[np.bool_]
PAIRED_FROM = 0.9
"""Share of kept rows from which random subsets are paired unless the caller decides. The effect of few rows is smaller
than the difference between two seeds."""
_SEEDS_APART = 1_000_000


@dataclass(frozen=True)
class Design:
    """Subsets of rows to retrain on."""

    subsets_SJ: Subsets
    """Bool [S, J]: rows of the index that each subset keeps."""
    paired: bool
    """Whether all subsets are trained with the same seeds. Their common noise then cancels in every comparison of
    subsets. Otherwise each subset has seeds of its own."""

    def training_seed(self, subset: int, repetition: int) -> int:
        """Choose the seed that `Task.train` is called with."""
        return repetition if self.paired else repetition * _SEEDS_APART + subset


def paired_by_default(alpha: float) -> bool:
    """Tell whether random subsets of this size are paired unless the caller decides."""
    return alpha >= PAIRED_FROM


def random_subsets(rows: int, count: int, alpha: float, seed: int, *, paired: bool = False) -> Design:
    """Draw subsets of equal size.

    Args:
        rows: J.
        count: S.
        alpha: Share of the rows that is kept.
        seed: Of the draw.
        paired: Whether all are trained with the same seeds.

    Returns:
        The design.

    Raises:
        InvalidInput: So few rows have no proper subset of that share.
    """
    kept = round(alpha * rows)
    if not 0 < kept < rows:
        raise InvalidInput(
            f"expected --alpha to keep some of the index's {rows} rows and leave some out, got {alpha}"
        )
    subsets_SJ = np.zeros((count, rows), dtype=bool)
    for s in range(count):
        subsets_SJ[s, np.random.default_rng([seed, s]).permutation(rows)[:kept]] = True
    return Design(subsets_SJ, paired)


def leave_one_out(rows: int, count: int, seed: int, *, paired: bool = True) -> Design:
    """Leave single rows out, one at a time.

    Args:
        rows: J.
        count: How many rows are left out. At most all.
        seed: Of the draw.
        paired: Whether all are trained with the same seeds.

    Returns:
        The design.

    Raises:
        InvalidInput: There are fewer than two rows.
    """
    if rows < 2:
        raise InvalidInput("expected an index of at least 2 rows to leave single ones out, got 1")
    left_out = np.random.default_rng(seed).permutation(rows)[:count]
    subsets_SJ = np.ones((len(left_out), rows), dtype=bool)
    subsets_SJ[np.arange(len(left_out)), left_out] = False
    return Design(subsets_SJ, paired)


def leave_owners_out(owner_J: NDArray[np.integer], most: int, *, paired: bool = True) -> Design:
    """Leave all rows of one owner out, one owner at a time, the owners with the most rows first.

    Args:
        owner_J: Number of each row's owner, from 0 without gaps. Negative for rows that belong to nobody.
        most: Owners that are left out, at most.
        paired: Whether all are trained with the same seeds.

    Returns:
        The design. Owners with equally many rows come in the order of their numbers.
    """
    rows_O = np.bincount(owner_J[owner_J >= 0])
    chosen = np.argsort(-rows_O, kind="stable")[:most]
    return Design(owner_J[None, :] != chosen[:, None], paired)
