"""Powers of symmetric matrices in their eigenbases, and the limits of matrices that are written out.

Shapes: N examples, K numbers of a feature.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from byline.errors import InvalidRecipe
from byline.types import State


def eigenpairs(state: State) -> list[tuple[Tensor, Tensor]]:
    """Read eigenvectors and eigenvalues, in the order of the blocks."""
    names = [key.removesuffix(".vectors") for key in state if key.endswith(".vectors")]
    return [(state[f"{name}.vectors"], state[f"{name}.values"]) for name in names]


def eigendecompose(matrices: Iterable[Tensor]) -> State:
    """Compute eigenvectors (float32) and eigenvalues of symmetric matrices, as `eigenpairs` reads them."""
    fitted: State = {}
    for place, matrix in enumerate(matrices):
        values, vectors = torch.linalg.eigh(matrix)
        # safetensors keeps names sorted, so the order of the blocks is part of the name.
        fitted[f"eigen.{place:05d}.values"] = values.clamp_min(0)
        fitted[f"eigen.{place:05d}.vectors"] = vectors.float().contiguous()
    return fitted


def strongest_eigenpairs(moment_DD: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Compute the largest eigenvalues of a second moment and their eigenvectors, the strongest first.

    Where some are left out, the decomposition is in float32, of the matrix in units of its largest number. That takes half
    the time, and its rounding is that of the vectors, which are float32 in any case.

    Args:
        moment_DD: Symmetric and not negative, float64.
        rank: Eigenvectors to return, at most.

    Returns:
        Eigenvalues [r], float64, and eigenvectors [D, r], float32.
    """
    if rank >= len(moment_DD):
        values, vectors = torch.linalg.eigh(moment_DD)
    else:
        unit = replace_zeros(moment_DD.diagonal().amax())
        values, vectors = torch.linalg.eigh((moment_DD / unit).float())
        values = values.double() * unit
    return values.flip(0)[:rank].clamp_min(0), vectors.flip(1)[:, :rank].float().contiguous()


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


LARGEST = 20_000
"""Rows of a matrix up to which it is written out: 3.2 GB in float64, and minutes to factorise."""


def replace_zeros(means: Tensor) -> Tensor:
    """Replace mean eigenvalues of zero, which only gradients of zero have, by one: damping is in units of them.

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
