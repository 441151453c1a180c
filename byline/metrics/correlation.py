"""Correlations of two tables, column by column. Letters: S subsets, Q queries."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ranks(values_SQ: Floats) -> Floats:
    """Rank every column from 1; equal values share the mean of their places.

    Args:
        values_SQ: Finite numbers, [S, Q].

    Returns:
        Ranks, float64 [S, Q].
    """
    order_SQ = np.argsort(values_SQ, axis=0, kind="stable")
    sorted_SQ = np.take_along_axis(values_SQ, order_SQ, axis=0)
    differs = sorted_SQ[1:] != sorted_SQ[:-1]
    edge = np.ones((1, values_SQ.shape[1]), dtype=bool)
    place = np.arange(1.0, len(values_SQ) + 1)[:, None]
    first = np.maximum.accumulate(np.where(np.concatenate([edge, differs]), place, 0.0), axis=0)
    last = np.where(np.concatenate([differs, edge]), place, np.inf)
    last = np.minimum.accumulate(last[::-1], axis=0)[::-1]
    ranks_SQ = np.empty(values_SQ.shape)
    np.put_along_axis(ranks_SQ, order_SQ, (first + last) / 2, axis=0)
    return ranks_SQ


def pearson(a_SQ: Floats, b_SQ: Floats) -> Floats:
    """Compute Pearson's correlation of every pair of columns.

    Args:
        a_SQ: Finite numbers, [S, Q].
        b_SQ: The other table, of the same shape.

    Returns:
        float64 [Q]. NaN where a column is constant.
    """
    constant_Q = (np.ptp(a_SQ, axis=0) == 0) | (np.ptp(b_SQ, axis=0) == 0)
    a, b = _unit(a_SQ), _unit(b_SQ)
    return np.where(constant_Q, np.nan, np.clip((a * b).sum(axis=0), -1.0, 1.0))


def spearman(a_SQ: Floats, b_SQ: Floats) -> Floats:
    """Compute Spearman's rank correlation of every pair of columns: Pearson's, of the ranks.

    Args:
        a_SQ: Finite numbers, [S, Q].
        b_SQ: The other table, of the same shape.

    Returns:
        float64 [Q]. NaN where a column is constant.
    """
    return pearson(ranks(a_SQ), ranks(b_SQ))


def _unit(values_SQ: Floats) -> Floats:
    """Columns about their mean, divided by their length. What is constant becomes zero or rounding."""
    scale_Q = np.abs(values_SQ).max(axis=0, initial=0.0)
    scaled_SQ = values_SQ / np.where(scale_Q > 0, scale_Q, 1.0)  # squares neither overflow nor vanish
    centred_SQ = scaled_SQ - scaled_SQ.mean(axis=0)
    length_Q = np.sqrt((centred_SQ * centred_SQ).sum(axis=0))
    unit_SQ: Floats = centred_SQ / np.where(length_Q > 0, length_Q, 1.0)
    return unit_SQ
