"""Keep the rows that can still be among the best of one query while approximate scores come in.

A row is dropped only if its score is lower than those of k others by more than both could be wrong, so the
exact best k are always among those kept, ties included, for any source of approximate scores.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byline.search.scores import sum_parts

PartsOf = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""Rows [N] -> each member's exact part of their scores, float64 [N, M]."""

_KEEP = 16_384
_RESCORE = 2_048


@dataclass(frozen=True)
class Certainty:
    """Certainty that no stronger row was missed."""

    exact: bool
    """True where every allowed row was scored from the stored rows, so that nothing was missed."""
    candidates: int
    """Rows that were scored."""
    expected_recall: float
    """Lower bound of the expected recall, compared with an exact scan. 1 for an exact scan."""

    def combine(self, other: "Certainty") -> "Certainty":
        """Combine the certainties of two searches."""
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
    """Certainty of each query's rows."""
    parts_QkM: NDArray[np.float64]
    """float64 [Q, k, stretches]: each stretch's part of the scores; they add up to them."""


def best_positions(scores_N: NDArray[np.float64], rows_N: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Find the positions of the k best: score descending, then row ascending."""
    return np.lexsort((rows_N, -scores_N))[:k]


class Shortlist:
    """The candidates of one query."""

    def __init__(self, k: int, error: float, parts_of: PartsOf):
        """Start empty.

        Args:
            k: Rows to return.
            error: Bound on the error of an approximate score.
            parts_of: Computes exact scores.
        """
        self._k = k
        self._margin = 2 * error
        self._parts_of = parts_of
        self._limit = max(_KEEP, 4 * k)
        self._rows: list[NDArray[np.int64]] = []
        self._approximate: list[NDArray[np.float32]] = []
        self._count = 0
        self.threshold = -np.inf
        """Rows with a lower approximate score need not be offered."""

    def offer(self, rows_N: NDArray[np.int64], approximate_N: NDArray[np.float32]) -> None:
        """Take in rows with their approximate scores."""
        kept = approximate_N >= self.threshold
        self._rows.append(rows_N[kept])
        self._approximate.append(approximate_N[kept])
        self._count += int(np.count_nonzero(kept))
        if self._count > self._limit or self.threshold == -np.inf:
            self._shrink()

    def finish(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rank by exact scores.

        Returns:
            (rows [min(k, offered)], parts of their scores [.., M]), the best first.
        """
        self._shrink()
        return self._ranked(np.concatenate(self._rows))

    def _shrink(self) -> None:
        rows = np.concatenate(self._rows) if self._rows else np.empty(0, dtype=np.int64)
        approximate = np.concatenate(self._approximate) if self._rows else np.empty(0, dtype=np.float32)
        if len(rows) > self._k:
            # An approximate score may be too low by the error, and the k-th too high by it: hence twice the error.
            kth = float(np.partition(approximate, len(rows) - self._k)[len(rows) - self._k])
            self.threshold = max(self.threshold, kth - self._margin)
            kept = approximate >= self.threshold
            rows, approximate = rows[kept], approximate[kept]
        if len(rows) > self._limit:
            # Too many within the margin (duplicates, mostly): decide among them exactly, for good.
            order = np.argsort(rows)
            rows, approximate = rows[order], approximate[order]
            chosen, _ = self._ranked(rows)
            approximate = approximate[np.searchsorted(rows, chosen)]
            rows = chosen
        self._rows, self._approximate, self._count = [rows], [approximate], len(rows)

    def _ranked(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The best k of some rows, holding a block of vectors at a time."""
        rows = np.sort(rows)
        best_rows = rows[:0]
        best_parts = self._parts_of(best_rows)
        for start in range(0, len(rows), _RESCORE):
            block = rows[start : start + _RESCORE]
            best_rows = np.concatenate([best_rows, block])
            best_parts = np.concatenate([best_parts, self._parts_of(block)])
            order = best_positions(sum_parts(best_parts), best_rows, self._k)
            best_rows, best_parts = best_rows[order], best_parts[order]
        return best_rows, best_parts
