"""Gradients of a batch as outer products."""

import torch

from byline.gradients.outer_products.factors import BatchGradients, DenseFactor, KroneckerGradient, Use


def test_a_batch_lets_go_of_its_gradients() -> None:
    left_NTO, right_NTI = torch.ones(2, 1, 3), torch.ones(2, 1, 4)
    made = KroneckerGradient([Use(DenseFactor(left_NTO), DenseFactor(right_NTI))])
    batch = BatchGradients(torch.ones(2), {"w": made})
    batch.free()
    assert len(batch) == 2
    assert not batch.blocks
