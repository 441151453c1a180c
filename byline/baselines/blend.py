"""A blend of influence and a baseline: it may predict retraining better, and is no attribution by gradients alone.

    blend(q, r) = z(influence)(q, r) + weight z(baseline)(q, r),    z(s)(q, r) = (s(q, r) - mean_q) / std_q

Mean and population standard deviation are over all R rows for one query. So each part has mean 0 and variance 1,
whatever the unit of its scores. Letters: Q queries, R training points.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from byline.errors import InvalidInput


def z_scores(scores_QR: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Standardize the scores of each query over all rows.

    Args:
        scores_QR: Finite scores, [Q, R].

    Returns:
        float64 [Q, R], with mean 0 and population variance 1. Zeros for a query whose scores are all equal.
    """
    exact_QR = np.asarray(scores_QR, dtype=np.float64)
    equal_Q1 = exact_QR.max(axis=1, keepdims=True) == exact_QR.min(axis=1, keepdims=True)
    centered_QR = exact_QR - exact_QR.mean(axis=1, keepdims=True)
    deviation_Q1 = centered_QR.std(axis=1, keepdims=True)
    return np.where(equal_Q1, 0.0, centered_QR / np.where(equal_Q1, 1.0, deviation_Q1))


def blend_scores(
    influence_QR: NDArray[np.floating[Any]], baseline_QR: NDArray[np.floating[Any]], weight: float
) -> NDArray[np.float64]:
    """Blend influence scores with a baseline's: z(influence) + weight z(baseline).

    Args:
        influence_QR: Influence of all rows, [Q, R].
        baseline_QR: The baseline's scores of the same rows, [Q, R].
        weight: 0 or more. Infinity gives z(baseline) alone.

    Returns:
        float64 [Q, R].

    Raises:
        InvalidInput: The shapes differ, or the weight is negative or NaN.
    """
    if influence_QR.ndim != 2 or influence_QR.shape != baseline_QR.shape:
        raise InvalidInput(
            f"expected two matrices [queries, rows] of one shape, got {influence_QR.shape} and {baseline_QR.shape}"
        )
    if not weight >= 0:
        raise InvalidInput(f"expected a weight of 0 or more, got {weight}")
    similar_QR = z_scores(baseline_QR)
    return similar_QR if weight == np.inf else z_scores(influence_QR) + weight * similar_QR
