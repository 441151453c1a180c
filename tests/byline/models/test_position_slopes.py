"""Derivatives of positions' losses along directions, against differences in float64."""

from dataclasses import replace

import pytest
import torch

from byline.errors import InvalidTask
from byline.gradients.outer_products.tensors import parameter_tensors
from byline.members import Member
from byline.models.member import MemberModel
from byline.models.position_slopes import loss_rates, require_positions
from byline.recipes import recipe
from byline.task import Task
from tests.byline.features import words


@pytest.fixture(scope="module")
def task() -> Task:
    return words.task()


@pytest.fixture(scope="module")
def model(task: Task) -> MemberModel:
    loaded = MemberModel.load(task, recipe("grad_dot"), Member(0))
    loaded.model.double()
    return loaded


def moved_losses(model: MemberModel, task: Task, item: torch.Tensor, direction: torch.Tensor, step: float):
    parameters = dict(model.model.named_parameters())
    moves = parameter_tensors(model.blocks, direction)
    with torch.no_grad():
        for name, move in moves.items():
            parameters[name] += step * move[0]
        losses_T = task.positions.losses(model.model, task.collate([item]))[0]
        for name, move in moves.items():
            parameters[name] -= step * move[0]
    return losses_T


def test_slopes_are_differences_of_the_losses(model: MemberModel, task: Task) -> None:
    width = sum(block.rows * block.columns for block in model.blocks)
    directions = torch.randn(2, 1, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    item, step = task.train_set[0], 1e-5
    before = [p.requires_grad for p in model.model.parameters()]
    slopes = model.position_slopes(item, "loss", directions)
    for slope_T, direction in zip(slopes, directions, strict=True):
        above, below = (moved_losses(model, task, item, direction, each) for each in (step, -step))
        expected_T = (above - below) / (2 * step) / (len(item) - 1)
        torch.testing.assert_close(slope_T, expected_T, rtol=1e-6, atol=1e-8)
    assert [p.requires_grad for p in model.model.parameters()] == before, "the model is as it was"


def test_rates_of_a_target_have_the_sign_of_a_loss(task: Task) -> None:
    positions = require_positions(task)
    batch = task.collate([task.train_set[0]])
    losses = torch.rand(1, len(task.train_set[0]), dtype=torch.float64) + 0.1
    assert (loss_rates(positions, "loss", losses, batch) > 0).all()
    assert (loss_rates(positions, "margin", losses, batch) > 0).all(), "a smaller loss raises the margin"


def test_what_the_task_does_not_declare_is_refused(task: Task) -> None:
    batch = task.collate([task.train_set[0]])
    with pytest.raises(InvalidTask, match=r"loss, margin in Positions\.values"):
        loss_rates(require_positions(task), "logit", torch.ones(1, 3), batch)
    with pytest.raises(InvalidTask, match=r"expected Task\.positions"):
        require_positions(replace(task, positions=None))
