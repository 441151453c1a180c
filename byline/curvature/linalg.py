"""Powers of symmetric matrices in their eigenbases, block by block. Shapes: N examples, K numbers of a feature."""

from collections.abc import Sequence

import torch
from torch import Tensor

from byline.projection.base import State


def eigenpairs(state: State) -> list[tuple[Tensor, Tensor]]:
    """Read eigenvectors and eigenvalues, in the order of the blocks."""
    names = [key.removesuffix(".vectors") for key in state if key.endswith(".vectors")]
    return [(state[f"{name}.vectors"], state[f"{name}.values"]) for name in names]


def eigendecomposed(matrices: Sequence[Tensor]) -> State:
    """Eigenvectors (float32) and eigenvalues of symmetric matrices, as `eigenpairs` reads them."""
    fitted: State = {}
    for place, matrix in enumerate(matrices):
        values, vectors = torch.linalg.eigh(matrix)
        # safetensors keeps names sorted, so the order of the blocks is part of the name.
        fitted[f"eigen.{place:05d}.values"] = values.clamp_min(0)
        fitted[f"eigen.{place:05d}.vectors"] = vectors.float().contiguous()
    return fitted


class EigenPreconditioner:
    """Powers of a damped matrix, block by block, in its eigenbasis."""

    def __init__(self, blocks: Sequence[tuple[Tensor, Tensor]]) -> None:
        self._vectors = [vectors for vectors, _ in blocks]
        self._damped = [damped for _, damped in blocks]

    def __call__(self, phi_NK: Tensor, power: float) -> Tensor:
        """Every row rotated and scaled, block by block."""
        parts = torch.split(phi_NK, [v.shape[0] for v in self._vectors], dim=1)
        scaled = [
            part @ vectors.to(part) * damped.pow(power).to(part)
            for part, vectors, damped in zip(parts, self._vectors, self._damped, strict=True)
        ]
        return torch.cat(scaled, dim=1)
