"""A function of every entry: each way to ask for it agrees with the function of the written-out gradient."""

import pytest
import torch

from byline.gradients.checks import build_collector
from byline.gradients.outer_products.factors import BatchGradients, CoordinateBasis, MatrixBasis
from byline.scale import lazy
from byline.scale.lazy import EntrywiseGradient, map_blocks
from tests.reference import models


@pytest.fixture(params=["mlp", "convnet", "transformer"])
def gradients(request: pytest.FixtureRequest) -> BatchGradients:
    case = models.CASES[request.param]()
    collector = build_collector(case.model, case.loss, case.sample)
    return collector.collect(case.loss, case.batch, case.count)


def test_every_way_to_ask(gradients: BatchGradients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy, "CHUNK", 100)  # several stretches of rows
    for gradient in gradients.blocks.values():
        rows, columns = gradient.shape
        table_OI = torch.rand(rows, columns, dtype=torch.float64)
        made = EntrywiseGradient(gradient.uses, lambda g, t: g * t + g.square(), [table_OI])
        dense_NOI = gradient.dense() * table_OI + gradient.dense().square()
        torch.testing.assert_close(made.dense(), dense_NOI)
        torch.testing.assert_close(made.rows(0, 1), dense_NOI[:, :1])
        torch.testing.assert_close(made.squared_norms(), dense_NOI.square().sum(dim=(1, 2)))
        picked = torch.randint(rows, (5,)), torch.randint(columns, (5,))
        torch.testing.assert_close(made.entries(*picked), dense_NOI[:, picked[0], picked[1]])
        some = CoordinateBasis(torch.randperm(rows)[:3])
        whole = MatrixBasis(torch.randn(columns, 4, dtype=torch.float64))
        torch.testing.assert_close(made.project(some, whole), dense_NOI[:, some.columns_K] @ whole.matrix_DK)
        left = MatrixBasis(torch.randn(rows, 3, dtype=torch.float64))
        torch.testing.assert_close(made.project(left, whole), left.matrix_DK.T @ dense_NOI @ whole.matrix_DK)
        right = CoordinateBasis(torch.randperm(columns)[:2])
        torch.testing.assert_close(
            made.project(some, right), dense_NOI[:, some.columns_K][:, :, right.columns_K]
        )
        projected = left.matrix_DK.T @ dense_NOI[:, :, right.columns_K]
        torch.testing.assert_close(made.project(left, right), projected)
        places = torch.tensor([2, 0]), torch.tensor([0, 0])
        torch.testing.assert_close(made.gather(left, right, *places), projected[:, places[0], places[1]])


def test_some_examples_of_it(gradients: BatchGradients) -> None:
    made = map_blocks(
        gradients, lambda _, g: EntrywiseGradient(g.uses, torch.mul, [torch.full(g.shape, 3.0)])
    )
    torch.testing.assert_close(made.examples(slice(1, 3)).dense(), 3 * gradients.dense()[1:3])
    assert list(made.blocks) == list(gradients.blocks)
    assert len(made.blocks) == len(gradients.blocks)
