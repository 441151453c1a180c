"""The damped inverse of a Kronecker fit on whole gradients: what conjugate gradients begin with.

A fit keeps the eigenvalues L of some coordinates Q of each block, and the block's mean eigenvalue m. All directions
away from these coordinates share the mean l of the other eigenvalues, l = (P_b m - sum of L) / (P_b - K_b):

    (H + d I)^-1 v = v / (l + d) + Q ((L + d)^-1 - (l + d)^-1) Q^T v        block by block

With d > 0 it is symmetric and positive definite on all parameters, and never written out: Q is a product of two bases.

Shapes: V vectors at once, P numbers of all parameters together, O x I a block's, K kept coordinates of a block.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from byline.curvature.solvers import Product
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import Basis, MatrixBasis
from byline.gradients.outer_products.tensors import block_matrices
from byline.projection.eigenbasis import KeptCoordinates, kept_coordinates
from byline.types import State

Inverses = tuple[Tensor, float]
"""Inverse eigenvalues of one block: of the kept coordinates [K], and of all directions away from them."""


@dataclass(frozen=True, kw_only=True)
class BlockSpectrum:
    """What a fit knows of one block's eigenvalues."""

    block: Block
    kept: KeptCoordinates
    eigenvalues_K: Tensor
    """Of the kept coordinates, float64."""
    mean: float
    """Over all eigenvalues of the block."""

    @property
    def numbers(self) -> int:
        """P_b: parameters of the block."""
        return self.block.rows * self.block.columns

    @property
    def elsewhere(self) -> float:
        """Mean eigenvalue away from the kept coordinates. Never below zero."""
        others = self.numbers - len(self.kept)
        if others == 0:
            return self.mean
        return max(0.0, (self.numbers * self.mean - float(self.eigenvalues_K.sum())) / others)

    def damped(self, scale: float, damping: float) -> Inverses:
        """Compute the eigenvalues of (scale H + damping)^-1."""
        kept_K = 1 / (scale * self.eigenvalues_K.clamp_min(0) + damping)
        return kept_K, 1 / (scale * self.elsewhere + damping)

    def multiply(self, matrices_VOI: Tensor, inverses: Inverses) -> Tensor:
        """Multiply every matrix by the inverse of these eigenvalues: [V, O, I]."""
        kept_K, rest = inverses
        if not len(self.kept):
            return matrices_VOI * rest
        gain_K = kept_K.to(matrices_VOI) - rest
        return matrices_VOI * rest + lifted(
            self.kept, coordinates(self.kept, matrices_VOI) * gain_K, self.block
        )


def block_spectra(blocks: Sequence[Block], state: State) -> list[BlockSpectrum]:
    """Read the spectra of all blocks from the state of a Kronecker fit."""
    return [
        BlockSpectrum(
            block=block,
            kept=kept_coordinates(block.name, state),
            eigenvalues_K=state[f"{block.name}.eigenvalues"].double(),
            mean=float(state[f"{block.name}.mean"]),
        )
        for block in blocks
    ]


def mean_eigenvalue(spectra: Sequence[BlockSpectrum]) -> float:
    """Compute the mean eigenvalue over all parameters of all blocks."""
    return sum(each.numbers * each.mean for each in spectra) / sum(each.numbers for each in spectra)


def kronecker_inverse(
    spectra: Sequence[BlockSpectrum], vectors_VP: Tensor, inverses: Sequence[Inverses]
) -> Tensor:
    """Multiply whole gradients by an inverse in the eigenbasis of a Kronecker fit.

    Args:
        spectra: Every block's, in the order of the gradients.
        vectors_VP: Whole gradients, block after block.
        inverses: Every block's inverse eigenvalues.

    Returns:
        [V, P], in the precision of the vectors.
    """
    matrices = block_matrices([each.block for each in spectra], vectors_VP)
    parts = [
        each.multiply(matrices[each.block.name], own).flatten(1)
        for each, own in zip(spectra, inverses, strict=True)
    ]
    return torch.cat(parts, dim=1)


def nearby_inverse(spectra: Sequence[BlockSpectrum], mean: float, dampings: Sequence[float]) -> Product:
    """Approximate the damped inverse of a matrix of which the eigenbasis is about that of a Kronecker fit.

    Args:
        spectra: Every block's.
        mean: Mean eigenvalue of the matrix. The fit's eigenvalues are scaled to it.
        dampings: What is added to each block of the matrix.

    Returns:
        `v_VP -> (c H + damping)^-1 v`, for the preconditioner of a solver.
    """
    scale = mean / mean_eigenvalue(spectra)
    inverses = [each.damped(scale, own) for each, own in zip(spectra, dampings, strict=True)]
    return lambda vectors_VP: kronecker_inverse(spectra, vectors_VP, inverses)


def coordinates(kept: KeptCoordinates, matrices_VOI: Tensor) -> Tensor:
    """Compute the kept coordinates of written-out blocks: Q^T v, [V, K]."""
    rotated = _along(_along(matrices_VOI, kept.right).transpose(1, 2), kept.left).transpose(1, 2)
    return rotated[:, kept.rows_K.to(rotated.device), kept.columns_K.to(rotated.device)]


def lifted(kept: KeptCoordinates, values_VK: Tensor, block: Block) -> Tensor:
    """Write the vectors out that have these kept coordinates and no others: Q c, [V, O, I]."""
    table_VRC = values_VK.new_zeros(len(values_VK), kept.left.size, kept.right.size)
    table_VRC[:, kept.rows_K.to(values_VK.device), kept.columns_K.to(values_VK.device)] = values_VK
    by_columns_VRI = _back(table_VRC, kept.right, block.columns)
    return _back(by_columns_VRI.transpose(1, 2), kept.left, block.rows).transpose(1, 2)


def _along(vectors_VND: Tensor, basis: Basis) -> Tensor:
    """Coordinates of rows: [V, N, K]."""
    if isinstance(basis, MatrixBasis):
        return vectors_VND @ basis.matrix_DK.to(vectors_VND)
    return vectors_VND[:, :, basis.columns_K.to(vectors_VND.device)]


def _back(values_VNK: Tensor, basis: Basis, width: int) -> Tensor:
    """Rows with these coordinates: [V, N, D]."""
    if isinstance(basis, MatrixBasis):
        return values_VNK @ basis.matrix_DK.to(values_VNK).T
    found = values_VNK.new_zeros(*values_VNK.shape[:2], width)
    found[:, :, basis.columns_K.to(values_VNK.device)] = values_VNK
    return found
