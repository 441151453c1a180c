"""Candidates by 1-bit codes, and whether they are enough: decided by the codes' own error, for every query.

Legend: K numbers of a vector, D numbers of a rotated one, R rows, C candidates.

The code of a row is the signs of `rotation (row - centre)`, and its estimate of a product with a query is off by the
query's product with what the code lost of the row. After a random rotation that is a normal number of mean 0 and
standard deviation |query| x loss / sqrt(D) (RaBitQ, Gao and Long 2024). A row that belongs to the best k has at least
the score of the k-th candidate, so it is missed only if its estimate is too low by more than the gap between that
score and the lowest estimate among the candidates. Rows with the largest losses are candidates whatever their
estimate: without them a few long rows would widen the bound for all.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from byline.index.codes import Codes

ENOUGH = 0.9999
"""Expected recall from which candidates need not be widened."""
TOP = 10
"""One result takes as many candidates as ten, or the best would be missed more often than the tenth."""
_MOST_CANDIDATES = 8
"""Codes are given up for an exact scan once candidates are more than rows / this."""
_SAME = 1 + 1e-5
"""Equal rows have equal losses, to rounding."""
_SMALL = 20
"""Queries are divided by 2^this for the codes: FAISS adds the squared length to every estimate and subtracts it again."""


@dataclass(frozen=True)
class Proposal:
    """Candidates for one query."""

    rows_C: NDArray[np.int64]
    """Sorted."""
    approximate_C: NDArray[np.float32]
    """Their float32 scores by the source's vectors."""
    estimated: int
    """Number of candidates with the best estimates. The others have the largest losses."""
    enough: bool
    """True where the candidates are expected to hold `ENOUGH` of the source's best k."""
    expected_recall: float
    """Lower bound of the part of the best k, by stored rows, that is expected among the candidates."""
    certain_C: NDArray[np.bool_]
    """True where all rows that equal this candidate are candidates too."""

    def holds_ties(self, rows: NDArray[np.int64]) -> bool:
        """Tell whether every row that equals one of these candidates is a candidate."""
        return bool(self.certain_C[np.searchsorted(self.rows_C, rows)].all())


class CodeSearch:
    """Proposes candidates. Has no state that a search changes."""

    def __init__(self, codes: Codes):
        self._codes = replace(codes, losses_R=np.asarray(codes.losses_R))
        self._rows = len(codes.losses_R)
        self._dimensions = codes.file.code_dimensions
        most = min(self._rows, self._rows // _MOST_CANDIDATES + 1)
        largest = np.argpartition(codes.losses_R, self._rows - most)[self._rows - most :]
        order = np.lexsort((largest, -codes.losses_R[largest]))
        self._lossy: NDArray[np.int64] = largest[order].astype(np.int64)
        """Rows with the largest losses, the largest first."""
        self._largest: NDArray[np.float64] = codes.losses_R[self._lossy].astype(np.float64)

    def proposals(self, query_K: NDArray[np.float32], k: int) -> Iterator[Proposal]:
        """Propose candidates, more and more of them. An exact scan is due when no proposal is left.

        Args:
            query_K: float32 [K], its largest number in [.5, 1), or all zeros.
            k: Number of results.

        Yields:
            Candidates that are expected to hold the best k, or, where their number is fixed, that number first.
        """
        count = max(k, TOP) * self._codes.factor
        while (count + count // 2) * _MOST_CANDIDATES <= self._rows:
            seen = self._look(query_K, k, count)
            proposal = self._proposal(seen)
            if proposal.enough or self._codes.fixed:
                yield proposal
            count = max(self._wider(seen), 2 * count)

    def _look(self, query_K: NDArray[np.float32], k: int, count: int) -> "_Seen":
        """Score `count` candidates by estimate and half as many by loss."""
        codes = self._codes
        estimates_C, estimated = self._estimates(query_K, count)
        rows = np.sort(np.concatenate([estimated, self._lossy[: count // 2]]))
        rows = rows[np.concatenate([[True], rows[1:] > rows[:-1]])]
        vectors_CK = codes.source.gather(rows)
        approximate = (torch.from_numpy(vectors_CK) @ torch.from_numpy(query_K)).numpy()
        per_loss = float(np.linalg.norm(query_K.astype(np.float64))) / math.sqrt(self._dimensions)
        errors_C = approximate[np.searchsorted(rows, estimated)] - estimates_C
        per_loss *= self._observed(errors_C, codes.losses_R[estimated].astype(np.float64) * per_loss)
        kth = float(np.partition(approximate, len(rows) - k)[len(rows) - k])
        return _Seen(rows, approximate, estimated, estimates_C, kth, per_loss)

    def _proposal(self, seen: "_Seen") -> Proposal:
        """Judge candidates."""
        codes, rows, count = self._codes, seen.rows, len(seen.estimated)
        lowest, largest = float(seen.estimates_C[-1]), float(self._largest[count // 2])
        expected = _expected(seen.kth - lowest, seen.per_loss * largest)
        enough = expected >= ENOUGH
        if not enough or codes.decoded:
            # Near duplicates share one error: a bound of few deviations may be their luck.
            expected = min(expected, codes.measured)
        certain = codes.losses_R[rows] > largest * _SAME
        certain[np.searchsorted(rows, seen.estimated[seen.estimates_C > lowest])] = True
        return Proposal(rows, seen.approximate, count, enough, expected, certain)

    def _estimates(
        self, query_K: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        small_1K = np.ldexp(query_K[None], -_SMALL)
        estimates_C, rows_C = self._codes.file.candidates(small_1K, count)
        shift = float(query_K.astype(np.float64) @ self._codes.centre_K)
        return np.ldexp(estimates_C.astype(np.float64), _SMALL) + shift, rows_C

    def _observed(self, errors_C: NDArray[np.float64], deviations_C: NDArray[np.float64]) -> float:
        """Compute the root mean square ratio of errors to their predicted deviations, over candidates.

        What the rotation promises is not undercut, as the best estimates are a chosen few, but for decoded codes.
        """
        known = deviations_C > 0
        if not known.any():
            return 1.0
        seen = float(np.sqrt(np.mean(np.square(errors_C[known] / deviations_C[known]))))
        return seen if self._codes.decoded else max(1.0, seen)

    def _wider(self, seen: "_Seen") -> int:
        """Candidates that should be enough if estimates go on falling with the logarithm of their number."""
        count, lowest = len(seen.estimated), float(seen.estimates_C[-1])
        fall = float(seen.estimates_C[count // 2]) - lowest
        wider = 2 * count
        while (wider + wider // 2) * _MOST_CANDIDATES <= self._rows:
            gap = seen.kth - lowest + fall * math.log2(wider / count)
            if _expected(gap, seen.per_loss * self._largest[wider // 2]) >= ENOUGH:
                break
            wider *= 2
        return wider


@dataclass(frozen=True)
class _Seen:
    """Candidates, scored."""

    rows: NDArray[np.int64]
    """Sorted."""
    approximate: NDArray[np.float32]
    """Their scores."""
    estimated: NDArray[np.int64]
    """Those with the best estimates, the best first."""
    estimates_C: NDArray[np.float64]
    """Their estimates."""
    kth: float
    """Score of the k-th best candidate."""
    per_loss: float
    """Standard deviation of an estimate's error for a loss of one."""


def _expected(gap: float, deviation: float) -> float:
    """Expected recall, at least: of a row whose score is so far above the lowest estimate; 0 where it is not above."""
    if gap <= 0:
        return 0.0
    return 1 - 0.5 * math.erfc(gap / deviation / math.sqrt(2)) if deviation > 0 else 1.0
