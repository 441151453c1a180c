"""Cosines of representations against numpy, and what the ready-made tasks declare."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from byline.baselines import FitOptions, Representation
from byline.errors import InvalidQuery, InvalidTask, UnsupportedModel
from byline.gradients.capture.hooks import last_input
from byline.task import Task
from tests.indexer import tiny_task

WEIGHTS = tiny_task.weights(0)


def hidden(x: torch.Tensor) -> np.ndarray:
    z = x.double().numpy() @ WEIGHTS["0.weight"].double().numpy().T + WEIGHTS["0.bias"].double().numpy()
    return np.maximum(z, 0)


@pytest.fixture
def task() -> Task:
    return tiny_task.task()


def test_scores_are_cosines_of_the_first_checkpoint(task: Task) -> None:
    queries = [(torch.arange(6.0) - q, 0) for q in range(4)]
    seen: list[tuple[int, int]] = []
    fitting = FitOptions(batch_rows=32, on_done=lambda done, rows: seen.append((done, rows)))
    found = Representation.fit(task, fitting).scores(queries)
    train = hidden(torch.stack([task.train_set[row][0] for row in range(90)]))
    asked = hidden(torch.stack([x for x, _ in queries]))
    lengths = np.linalg.norm(asked, axis=1)[:, None] * np.linalg.norm(train, axis=1)
    np.testing.assert_allclose(found, asked @ train.T / np.maximum(lengths, 1e-30), atol=1e-6)
    assert seen == [(32, 90), (64, 90), (90, 90)]


def test_equal_points_score_the_same_bits(task: Task) -> None:
    twice = replace(task, train_set=[task.train_set[row % 45] for row in range(90)])
    found = Representation.fit(twice, FitOptions(batch_rows=45)).scores([task.train_set[3]])
    assert (found[0, :45] == found[0, 45:]).all()
    assert found[0].argmax() == 3


def test_a_given_model_is_used(task: Task) -> None:
    model = task.model()
    model.load_state_dict(tiny_task.weights(1))
    own = Representation.fit(task, FitOptions(model=model.eval())).scores([task.train_set[0]])
    assert not np.allclose(own, Representation.fit(task).scores([task.train_set[0]]))


def test_zero_is_like_nothing(task: Task) -> None:
    zeros = replace(task, representation=lambda model, batch: batch[0] * 0)
    assert not Representation.fit(zeros).scores([task.train_set[0]]).any()


@pytest.mark.parametrize(
    ("representation", "message"),
    [
        (None, r"expected Task\.representation, which this baseline compares, got None"),
        (
            lambda model, batch: batch[0].sum(),
            r"expected Task\.representation to return a tensor \[64, D\], got \[\]",
        ),
        (lambda model, batch: "x", r"return a tensor \[64, D\], got str"),
        (
            lambda model, batch: batch[0] / 0,
            "row 0 of the training set: expected a representation of finite numbers, got NaN or infinity",
        ),
    ],
)
def test_what_is_wrong_is_said(task: Task, representation: Any, message: str) -> None:
    with pytest.raises(InvalidTask, match=message):
        Representation.fit(replace(task, representation=representation))


def test_a_query_that_is_not_finite(task: Task) -> None:
    with pytest.raises(InvalidQuery, match="representation is NaN or infinite"):
        Representation.fit(task).scores([(torch.full((6,), torch.nan), 0)])


def test_the_last_layers_input() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), nn.Softmax(dim=1))
    x = torch.randn(5, 3)
    assert torch.equal(last_input(model, lambda: model(x)), model[:2](x))
    assert all(not module._forward_pre_hooks for module in model.modules())
    with pytest.raises(UnsupportedModel, match=r"declare Task\.representation"):
        last_input(nn.ReLU(), lambda: nn.ReLU()(x))
