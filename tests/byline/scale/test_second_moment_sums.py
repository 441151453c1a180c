"""Sums of squares from factors equal those of written-out gradients, for every kind of layer and of factor."""

import pytest
import torch

from byline.gradients.checks import build_collector
from byline.gradients.outer_products.factors import DenseFactor, KroneckerGradient, OneHotFactor, Use
from byline.scale.second_moment import squares_by_row_and_column
from tests.reference import models


def hold(gradient: KroneckerGradient, count: int) -> None:
    squares_OI = gradient.dense().square().sum(dim=0)
    by_row, by_column = squares_by_row_and_column(gradient, count)
    torch.testing.assert_close(by_row, squares_OI.sum(dim=1))
    torch.testing.assert_close(by_column, squares_OI.sum(dim=0))


@pytest.mark.parametrize("name", models.CASES)
def test_every_layer(name: str) -> None:
    case = models.CASES[name]()
    collector = build_collector(case.model, case.loss, case.sample)
    for gradient in collector.collect(case.loss, case.batch, case.count).blocks.values():
        hold(gradient, case.count)


@pytest.mark.parametrize("sides", ["dense", "left", "right", "both", "tied"])
def test_every_kind_of_factor(sides: str) -> None:
    torch.manual_seed(0)
    dense = [DenseFactor(torch.randn(3, 2, width, dtype=torch.float64)) for width in (40, 30)]
    with_bias = DenseFactor(torch.randn(3, 2, 29, dtype=torch.float64), append_one=True)
    hot = [OneHotFactor(torch.randint(4, (3, 2)), width, torch.float64) for width in (40, 30)]
    uses = {
        "dense": [Use(dense[0], with_bias)],
        "left": [Use(hot[0], dense[1])],
        "right": [Use(dense[0], hot[1])],
        "both": [Use(hot[0], hot[1])],
        "tied": [Use(hot[0], dense[1]), Use(dense[0], with_bias), Use(dense[0], hot[1])],
    }
    hold(KroneckerGradient(uses[sides]), 3)
