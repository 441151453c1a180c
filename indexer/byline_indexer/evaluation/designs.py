"""Draw the rows of an index that each retraining keeps, and the seeds of the trainings.

A longer list begins with the shorter one, so that asking for more retrains only what is new.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byline.errors import InvalidInput

Subsets = NDArray[np.bool_]
_SEEDS_APART = 1_000_000


@dataclass(frozen=True)
class Design:
    """Subsets of rows to retrain on."""

    subsets_SJ: Subsets
    """Bool [S, J]: rows of the index that each subset keeps."""
    training_seed: Callable[[int, int], int]
    """(subset, repetition) -> seed that `Task.train` is called with."""


def random_subsets(rows: int, count: int, alpha: float, seed: int) -> Design:
    """Draw subsets of equal size, each trained with seeds of its own: their noise is independent.

    Args:
        rows: J.
        count: S.
        alpha: Share of the rows that is kept.
        seed: Of the draw.

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
    return Design(subsets_SJ, lambda subset, repetition: repetition * _SEEDS_APART + subset)


def leave_one_out(rows: int, count: int, seed: int) -> Design:
    """Leave single rows out, one at a time. All are trained with the same seeds, which then cancel in part.

    Args:
        rows: J.
        count: How many rows are left out. At most all.
        seed: Of the draw.

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
    return Design(subsets_SJ, lambda _, repetition: repetition)
