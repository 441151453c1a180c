"""The strongest eigenvectors of a second moment."""

import pytest
import torch
from torch import Tensor

from byline.curvature.linalg import strongest_eigenpairs

WIDTH = 60


def moment(scale: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    vectors_VD = torch.randn(200, WIDTH, generator=generator, dtype=torch.float64)
    vectors_VD *= torch.logspace(0, -3, WIDTH, dtype=torch.float64)
    return scale * vectors_VD.T @ vectors_VD


@pytest.mark.parametrize("scale", [1e-60, 1.0, 1e60])
@pytest.mark.parametrize("rank", [10, WIDTH, 2 * WIDTH])
def test_they_are_those_of_the_whole_decomposition(scale: float, rank: int) -> None:
    moment_DD = moment(scale)
    values_r, vectors_Dr = strongest_eigenpairs(moment_DD, rank)
    expected_D, expected_DD = torch.linalg.eigh(moment_DD)
    kept = min(rank, WIDTH)
    assert vectors_Dr.dtype == torch.float32
    assert vectors_Dr.shape == (WIDTH, kept)
    torch.testing.assert_close(values_r, expected_D.flip(0)[:kept], rtol=1e-5, atol=1e-6 * float(values_r[0]))
    ones_r = torch.ones(10, dtype=torch.float64)
    overlap_r = (vectors_Dr.double() * expected_DD.flip(1)[:, :kept]).sum(dim=0).abs()
    torch.testing.assert_close(overlap_r[:10], ones_r, rtol=1e-5, atol=0)
    gram_rr = vectors_Dr.double().T @ vectors_Dr.double()
    torch.testing.assert_close(gram_rr, torch.eye(kept, dtype=torch.float64), rtol=0, atol=1e-5)


def test_a_moment_of_zeros_has_eigenvalues_of_zero() -> None:
    values_r, vectors_Dr = strongest_eigenpairs(torch.zeros(WIDTH, WIDTH, dtype=torch.float64), 3)
    assert not values_r.any()
    assert bool(vectors_Dr.isfinite().all())
