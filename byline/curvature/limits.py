"""How large a matrix may be that is written out, and how small gradients may be whose squares are added up."""

import torch
from torch import Tensor

from byline.errors import InvalidRecipe

LARGEST = 20_000
"""Rows of a matrix up to which it is written out: 3.2 GB in float64, and minutes to factorise."""


def never_zero(means: Tensor) -> Tensor:
    """Mean eigenvalues that damping is measured by: ones in place of zeros, which only gradients of zero have.

    A small mean is left as it is: a fixed least one in its place would be damping alone.
    """
    return torch.where(means > 0, means, torch.ones_like(means))


def refuse_too_wide(width: int) -> None:
    """Say where writing a matrix out stops.

    Args:
        width: Its rows.

    Raises:
        InvalidRecipe: It has more than `LARGEST`.
    """
    if width > LARGEST:
        raise InvalidRecipe(
            f"expected at most {LARGEST} numbers a gradient where the curvature matrix is written out, got {width}: "
            f"take recipe 'if_cg' (the same inverse, solved for each query) or 'ekfac', attribute fewer layers "
            f"(Task.layers), or project to a smaller size"
        )
