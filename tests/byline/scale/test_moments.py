"""Moments: estimated ones are means over the training points, given ones come in the blocks' form or are refused."""

import pytest
import torch

from byline.errors import InvalidTask
from byline.gradients.checks import build_collector
from byline.scale.moments import MomentStatistic, block_moments
from tests.reference import models


@pytest.mark.parametrize("name", models.CASES)
def test_estimated_moments_are_means(name: str) -> None:
    case = models.CASES[name]()
    collector = build_collector(case.model, case.loss, case.sample)
    gradients = collector.collect(case.loss, case.batch, case.count)
    statistic = MomentStatistic(collector.blocks, None, None)
    assert not statistic.reads_state, "waves before it take no memory beside its sums"
    parts = [statistic.measure(gradients.examples(cut), {}) for cut in (slice(0, 2), slice(2, None))]
    sums = {key: parts[0][key] + parts[1][key] for key in parts[0]}
    found = statistic.finish(sums, case.count, {})
    for block, gradient in gradients.blocks.items():
        dense_NOI = gradient.dense()
        torch.testing.assert_close(found[f"{block}.exp_avg"], dense_NOI.mean(dim=0).float())
        torch.testing.assert_close(found[f"{block}.exp_avg_sq"], dense_NOI.square().mean(dim=0).float())


def test_given_moments_take_the_blocks_form() -> None:
    case = models.CASES["transformer"]()
    blocks = build_collector(case.model, case.loss, case.sample).blocks
    given = {
        f"{moment}/{name}": torch.rand(parameter.shape)
        for name, parameter in case.model.named_parameters()
        for moment in ("exp_avg", "exp_avg_sq")
    }
    found = block_moments(blocks, given)
    assert len(found) == 2 * len(blocks)
    for block in blocks:
        assert found[f"{block.name}.exp_avg"].shape == (block.rows, block.columns)
    statistic = MomentStatistic(blocks, None, found)
    assert statistic.sample == 0
    assert statistic.finish({}, 0, {}) == found


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [(None, "got none"), (torch.zeros(3), "of shape"), (torch.full((7, 5), float("nan")), "finite")],
)
def test_moments_that_do_not_fit_are_refused(spoilt: torch.Tensor | None, message: str) -> None:
    case = models.mlp()
    blocks = build_collector(case.model, case.loss, case.sample).blocks
    given = {
        f"{moment}/{name}": torch.rand(parameter.shape)
        for name, parameter in case.model.named_parameters()
        for moment in ("exp_avg", "exp_avg_sq")
    }
    if spoilt is None:
        del given["exp_avg_sq/0.weight"]
    else:
        given["exp_avg_sq/0.weight"] = spoilt
    with pytest.raises(InvalidTask, match=message):
        block_moments(blocks, given)
