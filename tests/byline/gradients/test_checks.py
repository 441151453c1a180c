"""Models and losses are checked against autograd when a collector is built."""

import pytest
import torch
from torch import nn

from byline.errors import InvalidTask, UnsupportedModel
from byline.gradients.checks import build_collector, check_objective
from tests.byline.gradients.test_collector import dense
from tests.reference import models, reference


def test_batch_norm_in_training_mode_is_refused() -> None:
    case = models.convnet()
    with pytest.raises(UnsupportedModel, match=r"BatchNorm '1'.*model.eval"):
        build_collector(case.model.train(), case.loss, case.sample)


def test_dropout_in_training_mode_is_refused() -> None:
    case = models.mlp()
    with pytest.raises(UnsupportedModel, match=r"Dropout '2'.*masks"):
        build_collector(case.model.train(), case.loss, case.sample)


def test_a_loss_that_is_averaged_over_the_batch_is_refused() -> None:
    case = models.mlp()
    with pytest.raises(InvalidTask, match=r"shape \(1,\).*reduction='none'"):
        build_collector(case.model, lambda m, b: models.cross_entropy(m, b).mean(), case.sample)


def test_a_target_that_reads_parameters_is_exact() -> None:
    case = models.mlp()
    collector = build_collector(case.model, case.loss, case.sample)

    def penalised(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return case.loss(model, batch) - model[0].weight.square().sum()

    names = [p for block in collector.blocks for p in block.parameters]
    rows = reference.gradients_one_by_one(
        case.model, penalised, [case.one(n) for n in range(case.count)], names
    )
    expected = torch.tensor(reference.flat(reference.block_matrices(collector.blocks, rows)))
    # The loss was probed, the target was not: the pass itself notices the parameter that is read elsewhere.
    assert collector.separation is not None
    torch.testing.assert_close(dense(collector.collect(penalised, case.batch, case.count)), expected)
    check_objective(collector, penalised, case.sample, "target 'mine'")
    torch.testing.assert_close(dense(collector.collect(penalised, case.batch, case.count)), expected)
    with pytest.raises(UnsupportedModel, match="depends on none"):
        check_objective(collector, lambda _m, b: b[0].sum(dim=1), case.sample, "target")
