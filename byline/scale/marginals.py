"""Sums of squared gradients by row and by column, from the factors: no gradient is formed where that is cheaper.

    sum_i G[o, i]^2 = sum_ts l_t[o] l_s[o] (r_t . r_s), and the same with the sides exchanged

over the positions t and s of one example, for all its uses.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from byline.gradients.factors import Factor, KroneckerGradient, OneHotFactor, inner
from byline.projection.dense import chunks


def squares_by_row_and_column(gradient: KroneckerGradient, count: int) -> tuple[Tensor, Tensor]:
    """Add up squared entries over the examples and over one side of the matrix.

    Args:
        gradient: One block.
        count: N.

    Returns:
        float64 [O] and [I].
    """
    rows, columns = gradient.shape
    positions = max(use.active().shape[1] for use in gradient.uses)
    if positions * (rows + columns) > rows * columns:
        return _written_out(gradient, count)
    by_row = by_column = None
    for one in gradient.uses:
        for other in gradient.uses:
            row_O = _paired(one.left, other.left, inner(one.right, other.right))
            column_I = _paired(one.right, other.right, inner(one.left, other.left))
            by_row = row_O if by_row is None else by_row + row_O
            by_column = column_I if by_column is None else by_column + column_I
    assert by_row is not None
    assert by_column is not None
    return by_row.clamp_min(0), by_column.clamp_min(0)  # rounding of sums that cancel


def _paired(one: Factor, other: Factor, pairs_NTS: Float[Tensor, "N T S"]) -> Tensor:
    """Sum over n, t and s of pairs[n, t, s] one[n, t] * other[n, s], entry by entry: float64 [D]."""
    if isinstance(other, OneHotFactor) and not isinstance(one, OneHotFactor):
        return _paired(other, one, pairs_NTS.transpose(1, 2))
    if isinstance(one, OneHotFactor):
        weights_NT = (pairs_NTS * inner(one, other)).sum(dim=2).double()
        total_D = weights_NT.new_zeros(one.width)
        return total_D.index_add_(0, one.indices_NT.flatten(), weights_NT.flatten())
    return ((pairs_NTS @ other.dense()) * one.dense()).sum(dim=(0, 1)).double()


def _written_out(gradient: KroneckerGradient, count: int) -> tuple[Tensor, Tensor]:
    columns = gradient.shape[1]
    by_row, by_column = [], torch.zeros((), dtype=torch.float64)
    for _, part_NP in chunks(gradient, count):
        squares = part_NP.reshape(count, -1, columns).square().sum(dim=0).double()
        by_row.append(squares.sum(dim=1))
        by_column = by_column.to(squares.device) + squares.sum(dim=0)
    return torch.cat(by_row), by_column
