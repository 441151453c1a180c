"""Hooks are removed after a pass and notice an input that is overwritten in place."""

import pytest
import torch
from torch import nn

from byline.errors import UnsupportedModel
from byline.gradients.checks import build_collector
from tests.reference import models


def test_leaves_nothing_on_the_model() -> None:
    case = models.mlp()
    collector = build_collector(case.model, case.loss, case.sample)
    collector.collect(case.loss, case.batch, case.count)
    assert all(not m._forward_hooks and not m._backward_hooks for m in case.model.modules())
    assert all(p.grad is None for p in case.model.parameters())


def test_an_input_overwritten_in_place_is_found() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.fc = nn.Linear(5, 5), nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.first(x)
            y = self.fc(h)
            h.detach().mul_(2)
            return y

    case = models.mlp()
    with pytest.raises(UnsupportedModel, match="inplace operation"):
        build_collector(InPlace().double().eval(), case.loss, case.sample)
