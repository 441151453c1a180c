"""Weighted sums of gradients over groups of a batch's examples, and no example's own gradient.

A gradient is a sum of outer products over positions, so a group's gradient is the same sum over all its members'
positions: J groups of at most S members look like J examples of S x T positions. Nothing is multiplied out here.
Projections form B_j^T A_j at the size of their result.

Shapes: N examples, T positions, D numbers of a vector, J groups, S members of the largest group.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from byline.gradients.outer_products.factors import (
    BatchGradients,
    DenseFactor,
    Factor,
    KroneckerGradient,
    OneHotFactor,
    Use,
)
from byline.randomness import random_bits, stream_key


@dataclass(frozen=True)
class _Places:
    """Places of the examples' positions in their groups. Empty places count nothing."""

    place_N: Tensor
    groups: int
    members: int

    def spread(self, values_N: Tensor) -> Tensor:
        """Bring [N, T, ...] to [J, S T, ...], with zeros where no example goes."""
        if len(values_N) == self.groups * self.members:
            spread = values_N[self.place_N.argsort()]
        else:
            spread = values_N.new_zeros(self.groups * self.members, *values_N.shape[1:])
            spread[self.place_N] = values_N
        return spread.reshape(self.groups, self.members * values_N.shape[1], *values_N.shape[2:])


def sum_groups(gradients: BatchGradients, group_N: Tensor, weights_N: Tensor) -> BatchGradients:
    """Add gradients up, group by group: G_j = sum of w_n G_n over the examples n of group j.

    Args:
        gradients: Gradients of N examples.
        group_N: int64, each example's group: numbers from 0 without gaps.
        weights_N: Weight of each example.

    Returns:
        A batch of J, one for each group.
    """
    sizes_J = torch.bincount(group_N)
    order_N = torch.argsort(group_N, stable=True)
    rank_N = torch.empty_like(group_N)
    starts_J = sizes_J.cumsum(0) - sizes_J
    rank_N[order_N] = torch.arange(len(group_N)) - starts_J.repeat_interleave(sizes_J)
    members = int(sizes_J.max())
    device = gradients.objective_N.device
    places = _Places((group_N * members + rank_N).to(device), len(sizes_J), members)
    weights_N = weights_N.to(device)
    blocks = {
        name: KroneckerGradient([_summed(use, places, weights_N) for use in gradient.uses])
        for name, gradient in gradients.blocks.items()
    }
    objective_N = gradients.objective_N * weights_N.to(gradients.objective_N)
    objective_J = objective_N.new_zeros(len(sizes_J)).index_add_(0, group_N.to(device), objective_N)
    return BatchGradients(objective_J, blocks)


def sum_micro_batches(gradients: BatchGradients, rows: NDArray[np.int64], size: int) -> BatchGradients:
    """Add gradients up in micro-batches, each with a random sign s_n = +1 or -1 that its row's hash says.

    Over the signs, the expectation of (sum_n s_n g_n)(sum_n s_n g_n)^T is sum_n g_n g_n^T: second moments of the
    sums estimate those of the examples for any mean of the gradients, and with as many times fewer vectors as a
    micro-batch has examples. Second moments of either factor stay what they are.

    Args:
        gradients: Gradients of N examples, in a random order.
        rows: Their rows in the training set, [N].
        size: Examples of a micro-batch. The last one may have fewer.

    Returns:
        One gradient a micro-batch.
    """
    group_N = torch.arange(len(rows)) // size
    bits_N = random_bits(stream_key(0, "micro-batch"), torch.from_numpy(rows))
    return sum_groups(gradients, group_N, (bits_N & 1).double() * 2 - 1)


def _summed(use: Use, places: _Places, weights_N: Tensor) -> Use:
    """Weigh one side, whose zeros also blank the places that no example goes to."""
    left, right = use.left, use.right
    if isinstance(left, OneHotFactor) and isinstance(right, DenseFactor):
        return Use(_moved(left, places), _weighed(right, places, weights_N))
    return Use(_weighed(left, places, weights_N), _moved(right, places))


def _weighed(factor: Factor, places: _Places, weights_N: Tensor) -> Factor:
    values_NTD = factor.dense()
    return DenseFactor(places.spread(values_NTD * weights_N.to(values_NTD)[:, None, None]))


def _moved(factor: Factor, places: _Places) -> Factor:
    if isinstance(factor, OneHotFactor):
        return OneHotFactor(places.spread(factor.indices_NT), factor.width, factor.dtype)
    assert isinstance(factor, DenseFactor)
    return DenseFactor(places.spread(factor.values_NTD), factor.append_one)
