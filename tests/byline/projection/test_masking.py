"""Masks keep inner products on average and form only the kept entries."""

import torch

from byline.projection.masking import MaskProjection


def test_masks_keep_inner_products_on_average(collected: tuple) -> None:
    blocks, gradients = collected
    exact = gradients.dense()
    drawn = [MaskProjection(size=64, seed=s).projector(blocks, {})(gradients) for s in range(400)]
    mean = torch.stack([phi @ phi.T for phi in drawn]).mean(dim=0)
    norms = exact.norm(dim=1)
    assert float(((mean - exact @ exact.T) / torch.outer(norms, norms)).abs().max()) < 0.2


def test_only_the_asked_entries_are_formed(collected: tuple) -> None:
    _, gradients = collected
    for gradient in gradients.blocks.values():
        rows, columns = gradient.shape
        places = torch.tensor([0, rows * columns - 1, rows * columns // 2, 0])
        found = gradient.entries(places // columns, places % columns)
        torch.testing.assert_close(found, gradient.dense().flatten(1)[:, places])
