"""Check gradients that were computed elsewhere, shaped like the parameters, and convert them to the collector's form."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from byline.errors import InvalidQuery
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import (
    BatchGradients,
    DenseFactor,
    KroneckerGradient,
    OneHotFactor,
    Use,
)

PRECISIONS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Precisions of gradients that clients may send."""


def dense_gradients(blocks: Sequence[Block], tensors: Mapping[str, Tensor]) -> BatchGradients:
    """Bring one query's gradients, as tensors shaped like the parameters, to the collector's form.

    A matrix G is the sum over its columns of G e_i e_i^T, so the projections need no second code path.

    Args:
        blocks: The model's blocks.
        tensors: Parameter name -> gradient.

    Returns:
        A batch of one. Its objective is unknown and zero.
    """
    gradients: dict[str, KroneckerGradient] = {}
    for block in blocks:
        matrix_NOI = block.matrix({name: tensors[name].float()[None] for name in block.parameters})
        columns = torch.arange(block.columns, device=matrix_NOI.device)[None]
        left = DenseFactor(matrix_NOI.transpose(1, 2))
        gradients[block.name] = KroneckerGradient([Use(left, OneHotFactor(columns, block.columns))])
    return BatchGradients(torch.zeros(1), gradients)


def flat_gradients(blocks: Sequence[Block], vectors_NP: Tensor) -> BatchGradients:
    """Bring whole gradients, block after block, to the collector's form: the inverse of `BatchGradients.dense`.

    Args:
        blocks: The model's blocks.
        vectors_NP: One row an example.

    Returns:
        A batch of N, whose objective is unknown and zero.
    """
    gradients = {
        name: KroneckerGradient([matrix_use(matrix_NOI)])
        for name, matrix_NOI in block_matrices(blocks, vectors_NP).items()
    }
    return BatchGradients(vectors_NP.new_zeros(len(vectors_NP)), gradients)


def matrix_use(matrix_NOI: Tensor) -> Use:
    """Write a matrix as the sum over its rows, or its columns where they are fewer, of outer products."""
    count, rows, columns = matrix_NOI.shape
    places = torch.arange(min(rows, columns), device=matrix_NOI.device).expand(count, -1)
    unit = OneHotFactor(places, min(rows, columns), matrix_NOI.dtype)
    if rows < columns:
        return Use(unit, DenseFactor(matrix_NOI))
    return Use(DenseFactor(matrix_NOI.transpose(1, 2)), unit)


def block_matrices(blocks: Sequence[Block], vectors_NP: Tensor) -> dict[str, Tensor]:
    """Cut whole gradients into their blocks: block name -> [N, O, I]."""
    parts = torch.split(vectors_NP, [block.rows * block.columns for block in blocks], dim=1)
    return {
        block.name: part.reshape(len(part), block.rows, block.columns)
        for block, part in zip(blocks, parts, strict=True)
    }


def parameter_tensors(blocks: Sequence[Block], vectors_NP: Tensor) -> dict[str, Tensor]:
    """Cut whole gradients into tensors shaped like the parameters: parameter name -> [N, *shape]."""
    found: dict[str, Tensor] = {}
    for block, matrix_NOI in zip(blocks, block_matrices(blocks, vectors_NP).values(), strict=True):
        found |= block.tensors(matrix_NOI)
    return found


def flat_vectors(blocks: Sequence[Block], tensors: Mapping[str, Tensor]) -> Tensor:
    """Join tensors [N, *parameter shape] to whole gradients [N, P], block after block."""
    return torch.cat([block.matrix(tensors).flatten(1) for block in blocks], dim=1)


def check_gradients(tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Require that gradient tensors have the right names, shapes and finite numbers.

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
