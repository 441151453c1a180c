"""Row weights that multiply training points' features: one number a member, averaged over the members.

    one_minus_p      1 - p_i, p_i the probability of the point's own label (TRAK, Park et al. 2023)
    leverage         1 / (1 - h_i), h_i = (1/n) E_c[g_ic^T H^-1 g_ic] over the labels c that the curvature is fitted with:
                     what a point's removal changes beyond the first order, exact on ridge regression. The expectation is
                     over all classes where a curvature is fitted on draws, since a point has only one
    relative_theta   1 / |H^-1 g_i|: influence for a given change of the parameters (Barshan et al. 2020)
    relative_l       1 / |H^-1/2 g_i|: influence for a given change of the loss

Shapes: N examples, K numbers of a feature.
"""

from typing import Literal

import torch
from torch import Tensor

RowWeight = Literal["none", "one_minus_p", "leverage", "relative_theta", "relative_l"]

LARGEST_LEVERAGE = 0.9
"""A point's weight is at most ten: estimates of the leverage may reach one, which the leverage itself never does."""


def one_minus_p(objective_N: Tensor) -> Tensor:
    """Compute 1 - p of the margin m = log p/(1-p), whose objective is -m: float64 [N]."""
    return torch.sigmoid(objective_N.double())


def inverse_lengths(vectors_NK: Tensor) -> Tensor:
    """Compute 1 / |v|, and 0 for a vector of zeros, whose influence is zero anyway: float64 [N]."""
    lengths_N = vectors_NK.double().norm(dim=1)
    return torch.where(lengths_N > 0, 1 / lengths_N, torch.zeros_like(lengths_N))


def leverage_weights(leverage_N: Tensor) -> Tensor:
    """Compute 1 / (1 - h), h held below `LARGEST_LEVERAGE`: float64 [N]."""
    return 1 / (1 - leverage_N.double().clamp(0, LARGEST_LEVERAGE))
