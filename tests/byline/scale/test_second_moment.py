"""Division by the root of the second moment: factors scale as the written-out gradient does."""

import pytest
import torch

from byline.gradients.checks import build_collector
from byline.gradients.outer_products.factors import DenseFactor, KroneckerGradient, OneHotFactor, Use
from byline.gradients.outer_products.tensors import dense_gradients
from byline.scale.second_moment import SecondMoment, rank_one_scale, scale_use
from tests.reference import models


@pytest.mark.parametrize("power", [0.5, 0.25])
@pytest.mark.parametrize("factored", [True, False])
@pytest.mark.parametrize("name", ["mlp", "transformer"])
def test_gradients_are_divided_on_both_sides(name: str, factored: bool, power: float) -> None:
    case = models.CASES[name]()
    collector = build_collector(case.model, case.loss, case.sample)
    gradients = collector.collect(case.loss, case.batch, case.count)
    options = SecondMoment(factored=factored, floor=1e-3, power=power)
    (statistic,) = options.statistics(collector.blocks, None)
    state = statistic.finish(statistic.measure(gradients, {}), case.count, {})
    scaler = options.scaler(state)
    for block, gradient in gradients.blocks.items():
        second_OI = gradient.dense().square().mean(dim=0)
        mean = second_OI.mean()
        if factored:
            row_O, column_I = second_OI.mean(dim=1) / mean, second_OI.mean(dim=0) / mean
            divisor_OI = torch.outer(row_O + 1e-3, column_I + 1e-3) * mean
        else:
            divisor_OI = second_OI + 1e-3 * mean
        expected = gradient.dense() / divisor_OI**power
        for made in (scaler.train(gradients), scaler.query(gradients)):
            torch.testing.assert_close(made.blocks[block].dense(), expected, rtol=1e-5, atol=1e-6)


def test_gradient_tensors_from_elsewhere_are_scaled_alike() -> None:
    case = models.mlp()
    collector = build_collector(case.model, case.loss, case.sample)
    gradients = collector.collect(case.loss, case.one(0), 1)
    options = SecondMoment()
    (statistic,) = options.statistics(collector.blocks, None)
    scaler = options.scaler(statistic.finish(statistic.measure(gradients, {}), 1, {}))
    case.model.requires_grad_()
    names = dict(case.model.named_parameters())
    grads = torch.autograd.grad(case.loss(case.model, case.one(0)).sum(), list(names.values()))
    sent = dense_gradients(collector.blocks, dict(zip(names, grads, strict=True)))
    torch.testing.assert_close(
        scaler.query(sent).dense(), scaler.query(gradients).dense().float(), rtol=1e-4, atol=1e-6
    )


def test_two_one_hot_sides() -> None:
    torch.manual_seed(0)
    hot = [OneHotFactor(torch.randint(width, (2, 3)), width) for width in (4, 5)]
    left, right = torch.rand(4), torch.rand(5)
    for use in (Use(hot[0], hot[1]), Use(hot[0], DenseFactor(torch.rand(2, 3, 5)))):
        plain, scaled = KroneckerGradient([use]), KroneckerGradient([scale_use(use, left, right)])
        torch.testing.assert_close(scaled.dense(), plain.dense() * torch.outer(left, right))


def test_what_never_has_a_gradient_stays_finite() -> None:
    for row in (torch.zeros(3), torch.tensor([0.0, 1.0, 2.0])):
        left, right = rank_one_scale(row, row[:2], 1e-3)
        assert bool(left.isfinite().all())
        assert bool(right.isfinite().all())
        assert left.max() <= 1000**0.5 + 1e-3
