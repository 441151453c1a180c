"""Gradients of narrow blocks written out: the factors of a LoRA adapter have fewer rows or columns than a text has tokens.

What follows of such a gradient, a rotation or a projection, goes over its few rows and not over all positions. That is less
work wherever a projection keeps as many numbers as the narrow side has. A whole gradient is then small enough to keep.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients, KroneckerGradient
from byline.gradients.outer_products.tensors import matrix_use
from byline.types import State

NARROW = 32
"""Rows or columns of a narrow block, at most."""


def all_narrow(blocks: Sequence[Block]) -> bool:
    """Tell whether all blocks are narrow."""
    return all(_is_narrow(block.rows, block.columns) for block in blocks)


def narrow_matrices(gradients: BatchGradients) -> State:
    """Write out the gradients of narrow blocks with as many positions as rows or columns: block name -> [N, O, I]."""
    return {name: gradient.dense() for name, gradient in gradients.blocks.items() if _is_long(gradient)}


def with_matrices(gradients: BatchGradients, matrices: Mapping[str, Tensor]) -> BatchGradients:
    """Put gradients that were written out in the place of their outer products.

    Args:
        gradients: Of a batch.
        matrices: Block name -> [N, O, I]. Blocks that are not there stay as they are.
    """
    written = {name: KroneckerGradient([matrix_use(matrix)]) for name, matrix in matrices.items()}
    return replace(gradients, blocks={**gradients.blocks, **written})


def _is_narrow(rows: int, columns: int) -> bool:
    return min(rows, columns) <= NARROW


def _is_long(gradient: KroneckerGradient) -> bool:
    rows, columns = gradient.shape
    positions = sum(use.left.positions for use in gradient.uses)
    return _is_narrow(rows, columns) and positions >= min(rows, columns)
