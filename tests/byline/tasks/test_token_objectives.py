"""Losses of tokens against a loop over positions."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from byline.task import Task
from byline.tasks.documents import IGNORED
from tests.byline.tasks.test_causal_lm import ask


def losses(task: Task, model: nn.Module, items: list[Any], target: str = "loss") -> torch.Tensor:
    return task.objective(target)(model, task.collate(items))


def gradient(task: Task, model: nn.Module, items: list[Any], row: int) -> torch.Tensor:
    parameters = list(model.parameters())
    grads = torch.autograd.grad(losses(task, model, items)[row], parameters)
    return torch.cat([g.flatten() for g in grads])


def test_loss_is_the_mean_of_the_tokens_negative_log_probabilities(task, model):
    ids = task.train_set[0]["input_ids"]
    log_p = model(input_ids=ids[None]).logits[0].log_softmax(-1)
    by_hand = -sum(log_p[t, ids[t + 1]] for t in range(len(ids) - 1)) / (len(ids) - 1)
    assert losses(task, model, [task.train_set[0]]).item() == pytest.approx(by_hand.item(), 1e-12)


def test_a_query_loss_is_that_of_the_completion_given_the_text(task, model):
    item = ask(task, text="def add(", completion="a, b)").item
    prompt = int((item["labels"] == IGNORED).sum())
    ids = item["input_ids"]
    log_p = model(input_ids=ids[None]).logits[0].log_softmax(-1)
    chosen = torch.stack([log_p[t - 1, ids[t]] for t in range(prompt, len(ids))])
    assert losses(task, model, [item]).item() == pytest.approx(-chosen.mean().item(), 1e-12)
    raised = -losses(task, model, [item], "likelihood").item()
    assert raised == pytest.approx(chosen.sum().item(), 1e-12)
    p = math.exp(chosen.mean().item())
    margin = -losses(task, model, [item], "margin").item()
    assert margin == pytest.approx(math.log(p / (1 - p)), 1e-9)


def test_padding_changes_neither_loss_nor_gradient(task, model):
    items = sorted((task.train_set[i] for i in range(len(task.train_set))), key=lambda i: len(i["input_ids"]))
    short, long = items[0], items[-1]
    assert len(short["input_ids"]) < len(long["input_ids"])
    alone, padded = losses(task, model, [short]), losses(task, model, [short, long])
    torch.testing.assert_close(padded[:1], alone, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        gradient(task, model, [short, long], 0),
        gradient(task, model, [short], 0),
        rtol=1e-9,
        atol=1e-12,
    )


@pytest.mark.parametrize("target", ["loss", "margin", "likelihood"])
def test_a_contrast_is_the_one_value_minus_the_other(task, model, target):
    asked = {"text": "def add(", "completion": "a, b)"}
    contrast = ask(task, **asked, rather_than="x").item
    one, other = ask(task, **asked).item, ask(task, text="def add(", completion="x").item
    expected = losses(task, model, [one], target) - losses(task, model, [other], target)
    torch.testing.assert_close(losses(task, model, [contrast], target), expected)
    together = losses(task, model, [one, contrast, other], target)
    alone = torch.cat([losses(task, model, [each], target) for each in (one, contrast, other)])
    torch.testing.assert_close(together, alone)
    same = ask(task, **asked, rather_than="a, b)").item
    assert losses(task, model, [same], target).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("target", ["loss", "margin", "likelihood"])
def test_values_of_positions_are_the_objectives(task, model, target):
    asked = {"text": "def add(", "completion": "a, b)"}
    items = [task.train_set[0], ask(task, **asked).item, ask(task, **asked, rather_than="x").item]
    batch = task.collate(items)
    found = task.positions.values[target](task.positions.losses(model, batch), batch)
    objective = task.objective(target)(model, batch)
    torch.testing.assert_close(found, objective if target == "loss" else -objective)
