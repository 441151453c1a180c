"""Gradients of a batch as outer products."""

import pytest
import torch

from byline.gradients.outer_products.factors import BatchGradients, DenseFactor, KroneckerGradient, Use


def test_a_batch_lets_go_of_its_gradients() -> None:
    left_NTO, right_NTI = torch.ones(2, 1, 3), torch.ones(2, 1, 4)
    made = KroneckerGradient([Use(DenseFactor(left_NTO), DenseFactor(right_NTI))])
    batch = BatchGradients(torch.ones(2), {"w": made})
    batch.free()
    assert len(batch) == 2
    assert not batch.blocks


@pytest.mark.parametrize("width", [5, 300, 700])
def test_second_moments_are_within_float32_of_those_in_float64(width: int) -> None:
    vectors_NTD = torch.randn(3, 40, width, generator=torch.Generator().manual_seed(width))
    active_NT = torch.rand(3, 40, generator=torch.Generator().manual_seed(1)) > 0.3
    chosen = vectors_NTD[active_NT].double()
    expected_DD, sizes_DD = chosen.T @ chosen, chosen.abs().T @ chosen.abs()
    found_DD = DenseFactor(vectors_NTD).second_moment(active_NT, diagonal=False).triu()
    rounding = len(chosen) * torch.finfo(torch.float32).eps
    assert bool(((found_DD - expected_DD).triu().abs() <= rounding * sizes_DD).all())
    diagonal_D = DenseFactor(vectors_NTD).second_moment(active_NT, diagonal=True)
    torch.testing.assert_close(diagonal_D.double(), expected_DD.diagonal(), rtol=1e-5, atol=0)
