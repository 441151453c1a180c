"""Narrow gradients that are written out are the same gradients."""

import torch

from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import (
    BatchGradients,
    DenseFactor,
    KroneckerGradient,
    MatrixBasis,
    Use,
)
from byline.gradients.outer_products.narrow import NARROW, all_narrow, narrow_matrices, with_matrices

SHAPES = {"down": (4, 50), "up": (50, 4), "square": (NARROW + 1, NARROW + 1)}


def drawn(positions: int) -> BatchGradients:
    generator = torch.Generator().manual_seed(positions)

    def factor(width: int) -> DenseFactor:
        return DenseFactor(torch.randn(3, positions, width, generator=generator, dtype=torch.float64))

    blocks = {
        name: KroneckerGradient([Use(factor(rows), factor(columns)) for _ in range(2)])
        for name, (rows, columns) in SHAPES.items()
    }
    return BatchGradients(torch.ones(3), blocks)


def test_what_is_computed_of_them_is_the_same() -> None:
    gradients = drawn(40)
    written = with_matrices(gradients, narrow_matrices(gradients))
    for name, (rows, columns) in SHAPES.items():
        one, other = gradients.blocks[name], written.blocks[name]
        left = MatrixBasis(torch.linalg.qr(torch.randn(rows, rows, dtype=torch.float64))[0][:, :3])
        right = MatrixBasis(torch.linalg.qr(torch.randn(columns, columns, dtype=torch.float64))[0][:, :3])
        expected = torch.einsum("ok,noi,il->nkl", left.matrix_DK, one.dense(), right.matrix_DK)
        torch.testing.assert_close(other.project(left, right), expected)
        torch.testing.assert_close(other.dense(), one.dense())
        torch.testing.assert_close(other.squared_norms(), one.dense().square().sum(dim=(1, 2)))
        places = torch.tensor([0, rows - 1]), torch.tensor([columns - 1, 0])
        torch.testing.assert_close(other.entries(*places), one.dense()[:, places[0], places[1]])


def test_narrow_blocks_with_many_positions_are_written_out_and_no_others() -> None:
    assert list(narrow_matrices(drawn(40))) == ["down", "up"]
    assert not narrow_matrices(drawn(1)), "few positions are less than a matrix"
    gradients = drawn(40)
    written = with_matrices(gradients, narrow_matrices(gradients))
    assert list(written.blocks) == list(SHAPES)
    assert written.blocks["square"] is gradients.blocks["square"]
    assert written.blocks["down"].uses[0].left.positions == 4


def test_all_blocks_of_an_adapter_are_narrow() -> None:
    blocks = {
        name: Block(name=name, parameters=(name,), shapes=(shape,), form="matrix")
        for name, shape in SHAPES.items()
    }
    assert all_narrow([blocks["down"], blocks["up"]])
    assert not all_narrow(list(blocks.values()))
