"""What a search returns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Hits:
    """The best rows of each query. Ties are in the order of rows."""

    rows_QK: NDArray[np.int64]
    """int64 [Q, k]: min(k, rows allowed) of them, never padded; the strongest first."""
    scores_QK: NDArray[np.float64]
    """float64 [Q, k]: descending, or ascending for opponents."""
    exact: bool
    """Whether the scores come from stored rows; False for an index that keeps codes only."""
    parts_QkM: NDArray[np.float64]
    """float64 [Q, k, stretches]: each stretch's part of the scores; they add up to them."""
