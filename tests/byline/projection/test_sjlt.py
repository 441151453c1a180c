"""The seed of a sparse Johnson-Lindenstrauss transform decides its matrix."""

import torch

from byline.projection.sjlt import SjltProjection


def test_a_seed_names_a_projection(collected: tuple) -> None:
    blocks, gradients = collected
    one, other = (SjltProjection(size=50, seed=s).projector(blocks, {})(gradients) for s in (0, 1))
    assert not torch.allclose(one, other)
