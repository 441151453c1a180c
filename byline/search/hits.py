"""What a search returns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Certainty:
    """How sure it is that nothing stronger was missed."""

    exact: bool
    """Whether every row that could have come back was scored from the stored rows: then nothing was missed."""
    candidates: int
    """Rows that were scored."""
    expected_recall: float
    """At least this part of the hits is expected to be what an exact scan returns; 1 where it was one."""

    def joined(self, other: "Certainty") -> "Certainty":
        """What holds for both of two searches."""
        return Certainty(
            exact=self.exact and other.exact,
            candidates=max(self.candidates, other.candidates),
            expected_recall=min(self.expected_recall, other.expected_recall),
        )


@dataclass(frozen=True)
class Hits:
    """The best rows of each query. Ties are in the order of rows."""

    rows_QK: NDArray[np.int64]
    """int64 [Q, k]: min(k, rows allowed) of them, never padded; the strongest first."""
    scores_QK: NDArray[np.float64]
    """float64 [Q, k]: descending, or ascending for opponents."""
    certainties_Q: tuple[Certainty, ...]
    """How sure each query's rows are."""
    parts_QkM: NDArray[np.float64]
    """float64 [Q, k, stretches]: each stretch's part of the scores; they add up to them."""
