"""The curvature's own eigenbasis, truncated to the k coordinates that carry most of the score.

R_n = U_L^T G_n U_R with the eigenvectors of the Kronecker factors, then the k entries with the largest
L/(L + damping) over all blocks. Which they are was decided by the fit (`byline.curvature.kronecker`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import Basis, BatchGradients, CoordinateBasis, MatrixBasis
from byline.types import State


class EigenbasisProjection(BaseModel):
    """The k best coordinates of the curvature's eigenbasis."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["eigenbasis"] = "eigenbasis"
    size: int = Field(default=2048, ge=1, le=1 << 20)
    """Numbers a stored vector has, for each member, over all blocks together."""
    rank: int = Field(default=256, ge=1, le=1 << 14)
    """Eigenvectors considered on each side of a block: what bounds the cost for wide layers."""
    coordinates: int = Field(default=4096, ge=1, le=1 << 20)
    """Coordinates considered on a side without eigenvectors (a vocabulary), the most active first. They cost memory and
    little time, and rare tokens carry much of what retraining a language model tells."""

    def projector(self, blocks: Sequence[Block], state: State) -> "EigenbasisProjector":
        """Make it ready for a model's blocks, from the state of a Kronecker fit."""
        return EigenbasisProjector([kept_coordinates(block.name, state) for block in blocks])


@dataclass(frozen=True)
class KeptCoordinates:
    """Kept coordinates of one block: eigenvectors, and the kept products of them."""

    name: str
    left: Basis
    right: Basis
    rows_K: Tensor
    columns_K: Tensor

    def __len__(self) -> int:
        return self.rows_K.shape[0]


def block_basis(name: str, side: str, state: State) -> Basis:
    """Read one side's basis: eigenvectors [D, r], or the coordinates [r] of a diagonal factor."""
    stored = state[f"{name}.{side}"]
    return MatrixBasis(stored) if stored.dim() == 2 else CoordinateBasis(stored)


def kept_coordinates(name: str, state: State) -> KeptCoordinates:
    """Read one block's kept coordinates from the state of a Kronecker fit."""
    left, right = block_basis(name, "left", state), block_basis(name, "right", state)
    kept_K = state[f"{name}.kept"]
    # Only eigenvectors of kept coordinates are multiplied: positions are renumbered among these.
    used_rows, rows_K = torch.unique(kept_K // right.size, return_inverse=True)
    used_columns, columns_K = torch.unique(kept_K % right.size, return_inverse=True)
    return KeptCoordinates(name, _subset(left, used_rows), _subset(right, used_columns), rows_K, columns_K)


def _subset(basis: Basis, chosen: Tensor) -> Basis:
    if isinstance(basis, MatrixBasis):
        return MatrixBasis(basis.matrix_DK[:, chosen].contiguous())
    return CoordinateBasis(basis.columns_K[chosen])


class EigenbasisProjector:
    """Rotates every block and gathers what is kept."""

    def __init__(self, kept: Sequence[KeptCoordinates]) -> None:
        self._kept = [k for k in kept if len(k)]
        self.widths: Mapping[str, int] = {k.name: len(k) for k in self._kept}

    def __call__(self, gradients: BatchGradients) -> Tensor:
        """phi_NK, block after block, not yet divided by the eigenvalues."""
        parts = [gradients.blocks[k.name].gather(k.left, k.right, k.rows_K, k.columns_K) for k in self._kept]
        return torch.cat(parts, dim=1)
