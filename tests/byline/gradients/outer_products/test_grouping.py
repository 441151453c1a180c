"""Sums of gradients by group equal sums of the written-out gradients, and micro-batches keep second moments."""

import numpy as np
import pytest
import torch

from byline.gradients.checks import build_collector
from byline.gradients.outer_products.factors import BatchGradients
from byline.gradients.outer_products.grouping import sum_groups, sum_micro_batches
from byline.projection.sjlt import SjltProjection
from tests.reference import models


def collected(name: str) -> tuple[tuple, BatchGradients]:
    case = models.CASES[name]()
    collector = build_collector(case.model, case.loss, case.sample)
    return collector.blocks, collector.collect(case.loss, case.batch, case.count)


@pytest.mark.parametrize("name", models.CASES)
@pytest.mark.parametrize("even", [True, False])
def test_equals_the_sum_of_written_out_gradients(name: str, even: bool) -> None:
    _, gradients = collected(name)
    count = len(gradients)
    groups = torch.arange(count) % 2 if even else torch.tensor([2, 0, 1, 0, 0, 2, 1, 0, 0, 2, 0][:count])
    weights = torch.linspace(-1, 2, count, dtype=torch.float64)
    found = sum_groups(gradients, groups, weights)
    every = gradients.dense().double()
    expected = torch.stack(
        [(every * weights[:, None])[groups == group].sum(dim=0) for group in range(int(groups.max()) + 1)]
    )
    torch.testing.assert_close(found.dense().double(), expected, rtol=1e-9, atol=1e-11)
    values = torch.stack([(gradients.objective_N * weights)[groups == g].sum() for g in range(len(expected))])
    torch.testing.assert_close(found.objective_N, values)


@pytest.mark.parametrize("name", ["mlp", "transformer"])
def test_sums_project_like_their_parts(name: str) -> None:
    blocks, gradients = collected(name)
    project = SjltProjection(size=30, nonzeros=2).projector(blocks, {})
    groups = torch.arange(len(gradients)) // 2
    found = project(sum_groups(gradients, groups, torch.ones(len(gradients))))
    each = project(gradients)
    expected = torch.stack([each[groups == group].sum(dim=0) for group in range(len(found))])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_micro_batches_keep_second_moments_on_average() -> None:
    _, gradients = collected("mlp")
    every = gradients.dense().double().numpy()
    expected = every.T @ every
    found = np.zeros_like(expected)
    draws = 400
    for draw in range(draws):
        rows = np.arange(len(gradients)) + draw * len(gradients)
        sums = sum_micro_batches(gradients, rows, 4).dense().double().numpy()
        assert len(sums) == -(-len(gradients) // 4)
        found += sums.T @ sums / draws
    assert np.linalg.norm(found - expected) < 0.1 * np.linalg.norm(expected)
    # Plain sums would not: their cross terms do not vanish.
    plain = sum_groups(gradients, torch.zeros(len(gradients), dtype=torch.int64), torch.ones(len(gradients)))
    whole = plain.dense().double().numpy()
    assert np.linalg.norm(whole.T @ whole - expected) > 0.3 * np.linalg.norm(expected)


def test_micro_batches_keep_either_factors_moments() -> None:
    _, gradients = collected("transformer")
    sums = sum_micro_batches(gradients, np.arange(len(gradients)), 4)
    for name, gradient in gradients.blocks.items():
        for one, other in zip(gradient.uses, sums.blocks[name].uses, strict=True):
            assert int(one.active().sum()) == int(other.active().sum())
            for a, b in ((one.left, other.left), (one.right, other.right)):
                torch.testing.assert_close(
                    a.second_moment(one.active(), diagonal=False),
                    b.second_moment(other.active(), diagonal=False),
                    rtol=1e-5,
                    atol=1e-7,
                )
