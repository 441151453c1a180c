"""Concatenate batches of one example: factors of different numbers of positions side by side.

Shapes: N examples, T positions, D numbers of a vector.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from byline.gradients.outer_products.factors import (
    BatchGradients,
    DenseFactor,
    Factor,
    KroneckerGradient,
    OneHotFactor,
    Use,
)


def concatenate_batches(parts: Sequence[BatchGradients]) -> BatchGradients:
    """Join gradients of single examples.

    The uses of a block that are of one kind become one use, since a gradient is the sum over both its uses and its
    positions. Shorter examples are filled up with zeros, which add nothing. (No use has unit vectors on both sides: one
    always comes from the gradient of an output.)

    Args:
        parts: Batches of one, of the same blocks.
    """
    if len(parts) == 1:
        return parts[0]
    objective_N = torch.cat([part.objective_N for part in parts])
    return BatchGradients(
        objective_N, {name: _joined([part.blocks[name] for part in parts]) for name in parts[0].blocks}
    )


Kind = tuple[bool, bool, bool]
"""Kind of a use: whether the left and the right factor are one-hot, and whether the right one appends a 1."""


def _kind(use: Use) -> Kind:
    right = use.right
    appended = isinstance(right, DenseFactor) and right.append_one
    return isinstance(use.left, OneHotFactor), isinstance(right, OneHotFactor), appended


def _joined(gradients: Sequence[KroneckerGradient]) -> KroneckerGradient:
    kinds = sorted({_kind(use) for gradient in gradients for use in gradient.uses})
    uses = []
    for kind in kinds:
        own = [[use for use in gradient.uses if _kind(use) == kind] for gradient in gradients]
        first = next(use for each in own for use in each)
        left = _side([[use.left for use in each] for each in own], first.left)
        right = _side([[use.right for use in each] for each in own], first.right)
        uses.append(Use(left, right))
    return KroneckerGradient(uses)


def _side(factors: Sequence[Sequence[Factor]], like: Factor) -> Factor:
    """One side of all examples. Absent positions are zero, or the first unit vector."""
    values = [[_values(factor) for factor in each] for each in factors]
    most = max(sum(len(v) for v in each) for each in values)
    first = next(v for each in values for v in each)
    rows = first.new_zeros(len(values), most, *first.shape[1:])
    for row, each in zip(rows, values, strict=True):
        if each:
            together = torch.cat(each)
            row[: len(together)] = together
    if isinstance(like, OneHotFactor):
        return OneHotFactor(rows, like.width, like.dtype)
    assert isinstance(like, DenseFactor)
    return DenseFactor(rows, like.append_one)


def _values(factor: Factor) -> Tensor:
    """[T, D], or [T] of unit vectors."""
    return factor.indices_NT[0] if isinstance(factor, OneHotFactor) else factor.values_NTD[0]  # type: ignore[attr-defined]
