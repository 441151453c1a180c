"""The inverse's root, however little damping there is."""

import pytest
import torch
from torch import Tensor

from byline.curvature.fisher import RootPreconditioner, inverse_root


def low_rank(size: int = 12, rank: int = 4) -> Tensor:
    phi_NK = torch.randn(rank, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return phi_NK.T @ phi_NK / rank


@pytest.mark.parametrize("damping", [1e-3, 1.0, 100.0])
def test_the_root_squares_to_the_inverse(damping: float) -> None:
    matrix_KK = low_rank()
    root_KK = inverse_root(matrix_KK, damping)
    damped_KK = matrix_KK + damping * matrix_KK.diagonal().mean() * torch.eye(12, dtype=torch.float64)
    torch.testing.assert_close(root_KK.T @ root_KK, torch.linalg.inv(damped_KK))


@pytest.mark.parametrize("damping", [1e-18, 1e-30])
def test_damping_below_rounding_still_gives_a_finite_root(damping: float) -> None:
    root_KK = inverse_root(low_rank(), damping)
    assert bool(root_KK.isfinite().all())


def test_gradients_of_zero_have_a_root() -> None:
    root_KK = inverse_root(torch.zeros(3, 3, dtype=torch.float64), 1.0)
    assert bool(root_KK.isfinite().all())


def test_powers_fit_together_block_by_block() -> None:
    roots = [inverse_root(low_rank(12), 0.5), inverse_root(low_rank(5), 2.0)]
    precondition = RootPreconditioner(roots)
    phi_NK = torch.randn(3, 17, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    half_NK = precondition(phi_NK, -0.5)
    torch.testing.assert_close(half_NK @ half_NK.T, precondition(phi_NK, -1.0) @ precondition(phi_NK, 0.0).T)
