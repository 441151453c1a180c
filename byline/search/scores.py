"""The final score of a query and a row: float64, summed in an order that nothing but the width decides.

Legend: Q queries, N rows, K numbers of a vector, M members.
Float32 scores from BLAS or FAISS differ in their last bits with the batch, the block and the number of
threads. They only choose candidates, with a bound on their error. What is returned and ranked comes from here.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_UNIT = 2.0**-24


def pair_scores(
    query_K: NDArray[np.float64], vectors_NK: NDArray[np.float32], slices: Sequence[slice]
) -> NDArray[np.float64]:
    """Compute each stretch's part of the scores of one query with some rows.

    Args:
        query_K: float64 [K], divided by the scales of the stored numbers.
        vectors_NK: Stored numbers, float32 [N, K].
        slices: The stretches.

    Returns:
        float64 [N, M]: parts that add up to the scores.
    """
    # numpy's pairwise sum depends on the width alone; BLAS' order of summation depends on threads and on the batch.
    products_NK = vectors_NK.astype(np.float64) * query_K
    return np.stack([products_NK[:, stretch].sum(axis=1) for stretch in slices], axis=1)


def part_scores(parts_MK: NDArray[np.float64], vectors_NK: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute each member's part of the scores of one query with some rows, where members share all numbers.

    Args:
        parts_MK: The members' parts of the query, float64 [M, K], divided by the scales of the stored numbers.
        vectors_NK: Stored numbers, float32 [N, K].

    Returns:
        float64 [N, M]: parts that add up to the scores, to rounding.
    """
    vectors = vectors_NK.astype(np.float64)
    return np.stack([(vectors * part_K).sum(axis=1) for part_K in parts_MK], axis=1)


def sum_parts(parts_NM: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up the stretches' parts from the first to the last: float64 [N]."""
    scores_N = np.zeros(len(parts_NM))
    for part_N in parts_NM.T:
        scores_N = scores_N + part_N
    return scores_N


def normalize_queries(
    queries_QK: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Bring each query into the middle of float32's range, which changes no ranking.

    Args:
        queries_QK: float64 [Q, K], unscaled.

    Returns:
        float32 [Q, K] with a largest number in [.5, 1), and each query's length [Q].
    """
    largest_Q = np.abs(queries_QK).max(axis=1, initial=0)
    exponents_Q = np.frexp(largest_Q)[1]
    moved_QK = np.ldexp(queries_QK, -exponents_Q[:, None]).astype(np.float32)
    return moved_QK, np.linalg.norm(moved_QK.astype(np.float64), axis=1)


def rounding_bound(width: int) -> float:
    """Bound the relative error of a float32 inner product, for any order of the sum.

    `|computed - exact| <= n u / (1 - n u) |x|.|y|` with u = 2^-24 (Higham 2002, section 3.1), by Cauchy-Schwarz at
    most that times the lengths.
    """
    steps = (width + 4) * _UNIT
    return steps / (1 - steps)
