"""A fit in memory is the statistics, one after the other, over all batches."""

import pytest
import torch

from byline.errors import InvalidRecipe
from byline.features.featurizer import statistics
from byline.features.fitting import fit
from byline.gradients.checks import build_collector
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients
from byline.recipes import recipe
from tests.reference import models


@pytest.fixture
def collected() -> tuple[tuple[Block, ...], BatchGradients]:
    case = models.mlp()
    collector = build_collector(case.model, case.loss, case.sample)
    return collector.blocks, collector.collect(case.loss, case.batch, case.count)


def test_batches_are_added_up(collected: tuple[tuple[Block, ...], BatchGradients]) -> None:
    blocks, gradients = collected
    chosen = recipe("ekfac", scale={"kind": "second_moment"})
    cut = len(gradients) // 2
    parts = [gradients.examples(slice(0, cut)), gradients.examples(slice(cut, len(gradients)))]
    whole, added = fit(chosen, blocks, [gradients]), fit(chosen, blocks, parts)
    assert whole.keys() == added.keys()
    for name in whole:
        if name.endswith((".scale_left", ".scale_right", ".mean")):
            torch.testing.assert_close(added[name], whole[name])


def test_each_statistic_sees_those_before_it(collected: tuple[tuple[Block, ...], BatchGradients]) -> None:
    blocks, gradients = collected
    chosen = recipe("ekfac", curvature={"sample": None})
    factors, eigenvalues = statistics(chosen, blocks)
    state = factors.finish(factors.measure(gradients, {}), len(gradients), {})
    state |= eigenvalues.finish(eigenvalues.measure(gradients, state), len(gradients), state)
    found = fit(chosen, blocks, [gradients])
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


def test_what_gradients_do_not_fit_is_refused(collected: tuple[tuple[Block, ...], BatchGradients]) -> None:
    blocks, gradients = collected
    with pytest.raises(InvalidRecipe, match="a curvature that is fitted by gradients, got 'arnoldi'"):
        fit(recipe("arnoldi"), blocks, [gradients])
    with pytest.raises(InvalidRecipe, match=r"expected run_time .* 'finite_run', got none"):
        fit(recipe("ekfac", curvature={"filter": "finite_run"}), blocks, [gradients])
