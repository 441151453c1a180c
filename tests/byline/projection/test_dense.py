"""A dense projection is a matrix of random signs."""

import torch

from byline.gradients.checks import build_collector
from byline.gradients.outer_products.tensors import dense_gradients
from byline.projection.dense import DenseProjection
from tests.reference import models


def test_a_dense_projection_is_random_signs() -> None:
    case = models.mlp()
    collector = build_collector(case.model, case.loss, case.sample)
    block = collector.blocks[0]
    size = block.rows * (block.columns - 1)
    columns = []
    for j in range(5):
        weight = torch.zeros(size)
        weight[j] = 1
        tensors = {
            n: torch.zeros(s) for b in collector.blocks for n, s in zip(b.parameters, b.shapes, strict=True)
        }
        tensors[block.parameters[0]] = weight.reshape(block.shapes[0])
        columns.append(
            DenseProjection(size=64).projector(collector.blocks, {})(
                dense_gradients(collector.blocks, tensors)
            )[0]
        )
    torch.testing.assert_close(torch.stack(columns).abs() * 8, torch.ones(5, 64))
