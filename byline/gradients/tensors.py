"""Gradients as tensors shaped like the parameters, computed elsewhere: checked, and brought to the collector's form."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from byline.errors import InvalidQuery
from byline.gradients.blocks import Block
from byline.gradients.factors import BatchGradients, DenseFactor, KroneckerGradient, OneHotFactor, Use

PRECISIONS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Of gradients that clients may send."""


def dense_gradients(blocks: Sequence[Block], tensors: Mapping[str, Tensor]) -> BatchGradients:
    """Bring one query's gradients, as tensors shaped like the parameters, to the collector's form.

    A matrix G is the sum over its columns of G e_i e_i^T, so the projections need no second code path.

    Args:
        blocks: The model's blocks.
        tensors: Parameter name -> gradient.

    Returns:
        A batch of one; its objective is unknown and zero.
    """
    gradients: dict[str, KroneckerGradient] = {}
    for block in blocks:
        matrix_NOI = block.matrix({name: tensors[name].float()[None] for name in block.parameters})
        columns = torch.arange(block.columns, device=matrix_NOI.device)[None]
        left = DenseFactor(matrix_NOI.transpose(1, 2))
        gradients[block.name] = KroneckerGradient([Use(left, OneHotFactor(columns, block.columns))])
    return BatchGradients(torch.zeros(1), gradients)


def check_gradients(tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Hold that gradient tensors have the right names, shapes and finite numbers.

    Raises:
        InvalidQuery: They have not.
    """
    missing, unknown = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(expected))
    if missing or unknown:
        first = f", the first missing '{missing[0]}'" if missing else ""
        raise InvalidQuery(
            f"expected {len(expected)} gradient tensors named member/parameter, got {len(tensors)}: "
            f"{len(missing)} missing{first}, {len(unknown)} unknown"
        )
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            raise InvalidQuery(
                f"expected gradient '{name}' of shape {shape}, got {tuple(tensors[name].shape)}"
            )
        if tensors[name].dtype not in PRECISIONS or not bool(tensors[name].isfinite().all()):
            raise InvalidQuery(f"expected finite floating-point numbers in gradient '{name}', got others")
