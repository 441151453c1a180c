"""The bytes of a pass are counted from shapes: they grow with an item, and hold the activations."""

import pytest
import torch
from torch import Tensor, nn

from byline.gradients.checks import build_collector
from byline.models import pass_memory
from byline.models.pass_memory import COPIES, factor_bytes, saved_bytes
from tests.reference import models


def test_saved_bytes_leave_out_the_model_and_grow_with_the_batch() -> None:
    case = models.transformer()
    sizes = [saved_bytes(case.model, lambda n=n: case.loss(case.model, case.batch[:n])) for n in (1, 2, 4)]
    assert sizes[0] > 0
    assert 1.8 * sizes[0] < sizes[1] < 2.3 * sizes[0]
    assert 1.8 * sizes[1] < sizes[2] < 2.3 * sizes[1]
    again = saved_bytes(case.model, lambda: case.loss(case.model, case.batch[:4]))
    assert again == sizes[2], "the same on every call"


def test_factors_are_the_gradients_of_outputs() -> None:
    case = models.transformer()
    collector = build_collector(case.model, case.loss, case.sample)
    gradients = collector.collect(case.loss, case.batch, case.count)
    lefts = [
        use.left.dense().numel() * 8
        for gradient in gradients.blocks.values()
        for use in gradient.uses
        if hasattr(use.left, "values_NTD")
    ]
    assert factor_bytes(gradients) >= sum(lefts) + COPIES * max(lefts)


def test_memory_is_returned_at_most_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    clock = iter([100.0, 100.1, 101.0])
    monkeypatch.setattr(pass_memory, "_returned", [0.0])
    monkeypatch.setattr(pass_memory.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(pass_memory.sys, "platform", "linux")
    monkeypatch.setattr(pass_memory.ctypes, "CDLL", calls.append)
    for _ in range(3):
        pass_memory.return_memory()
    assert len(calls) == 2


def test_what_a_pass_drops_early_is_counted_all_the_same() -> None:
    weights = torch.ones(1 << 16, requires_grad=True)

    def run() -> Tensor:
        for _ in range(5):
            (weights * 2).exp()  # saves its result, which is gone at once
        return weights.sum()

    assert saved_bytes(nn.Linear(1, 1), run) == 5 * 4 * (1 << 16)
