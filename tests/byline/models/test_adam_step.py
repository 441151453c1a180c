"""What is read before a step of AdamW is what torch's own step divides and decays by."""

import pytest
import torch
from torch import nn

from byline.errors import InvalidInput
from byline.gradients.collector import GradientCollector
from byline.gradients.outer_products.blocks import Block
from byline.models.adam_step import coming_step
from byline.scale.moments import SECOND


def loss(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return model(batch).square().sum(dim=1)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))


@pytest.fixture
def blocks(model: nn.Module) -> tuple[Block, ...]:
    found = GradientCollector(model).blocks
    model.requires_grad_()
    return found


def test_second_moments_and_decay_are_those_of_the_step_that_follows(
    model: nn.Module, blocks: tuple[Block, ...]
) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.0, 0.7), eps=1e-12, weight_decay=0.4)
    for number in range(1, 5):
        optimizer.zero_grad()
        loss(model, torch.randn(5, 4)).mean().backward()
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        step = coming_step(optimizer, model, blocks)
        grads = {name: p.grad.clone() for name, p in model.named_parameters()}
        optimizer.step()
        assert step.decay == pytest.approx(0.01 * 0.4)
        for name, parameter in model.named_parameters():
            second = step.second[f"{SECOND}/{name}"]
            kept = optimizer.state[parameter]["exp_avg_sq"] / (1 - 0.7**number)
            torch.testing.assert_close(second, kept)
            expected = before[name] * (1 - step.decay) - 0.01 * grads[name] / second.sqrt()
            torch.testing.assert_close(parameter.detach(), expected)


def test_the_decay_is_the_mean_over_parameters(model: nn.Module, blocks: tuple[Block, ...]) -> None:
    biases = [p for p in model.parameters() if p.dim() == 1]
    weights = [p for p in model.parameters() if p.dim() == 2]
    groups = [{"params": weights, "weight_decay": 0.5}, {"params": biases, "weight_decay": 0.0}]
    step = coming_step(torch.optim.AdamW(groups, lr=0.1), model, blocks)
    assert step.decay == pytest.approx(0.1 * 0.5 * 18 / 23)
    assert all(not tensor.any() for tensor in step.second.values())  # no gradient yet, and no step


def test_other_optimizers_are_refused(model: nn.Module, blocks: tuple[Block, ...]) -> None:
    parameters = list(model.parameters())
    wrong = [
        (torch.optim.SGD(parameters, lr=0.1), r"expected torch's AdamW or Adam .*, got SGD"),
        (torch.optim.Adam(parameters, weight_decay=0.1), "without weight_decay"),
        (torch.optim.AdamW(parameters, amsgrad=True), "without amsgrad"),
        (torch.optim.AdamW(parameters[:2]), "got one without 2 of them"),
        (
            torch.optim.AdamW([{"params": parameters[:2], "lr": 0.1}, {"params": parameters[2:], "lr": 0.2}]),
            "one learning rate",
        ),
    ]
    for optimizer, message in wrong:
        with pytest.raises(InvalidInput, match=message):
            coming_step(optimizer, model, blocks)
    coming_step(torch.optim.Adam(parameters), model, blocks)
