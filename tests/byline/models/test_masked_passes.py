"""All masks of a model in one pass give what a pass for each gives, or are not taken together."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from byline.errors import UnsupportedModel
from byline.gradients.masks.mask import DropoutMask, stack_masks
from byline.gradients.masks.plan import plan_masks
from byline.loading.task_file import load_task
from byline.members import MemberPlan
from byline.models.masked_passes import QueryPasses
from byline.models.member import MemberModel
from byline.recipes import recipe
from byline.task import Checkpoint, Task

TINY = Path(__file__).parents[2] / "indexer" / "tiny_task.py"
CHOSEN = recipe("grad_dot", members={"masks": 3})


@pytest.fixture
def task() -> Task:
    return load_task(f"{TINY}:task").task


def models_of(task: Task) -> dict:
    found: dict = {}
    for member in CHOSEN.members.members(2):
        sibling = next((m for known, m in found.items() if known.same_model(member)), None)
        found[member] = MemberModel.load(task, CHOSEN, member, None, sibling)
    return found


def test_equal_the_gradients_of_each_mask_alone(task: Task) -> None:
    models = models_of(task)
    items = [task.train_set[row] for row in (3, 8, 21, 40)]
    passes = QueryPasses(models)
    found = dict(passes.gradients(items, "margin"))
    assert passes._together
    assert list(found) == list(MemberPlan(masks=3).members(2))
    for member, gradients in found.items():
        expected = models[member].gradients(items, "margin")
        torch.testing.assert_close(gradients.dense(), expected.dense(), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(gradients.objective_N, expected.objective_N)


def test_one_pass_holds_a_bounded_number_of_copies(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    models = models_of(task)
    sizes = []
    collect = MemberModel.masked_gradients

    def counted(self, others, items, target="loss"):
        sizes.append(len(others) * len(items))
        return collect(self, others, items, target)

    monkeypatch.setattr(MemberModel, "masked_gradients", counted)
    items = [task.train_set[row] for row in range(30)]
    assert len(dict(QueryPasses(models).gradients(items, "loss"))) == 6
    assert max(sizes) == 60


def test_whole_queries_take_one_pass_without_masks(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    models, items = models_of(task), [task.train_set[row] for row in (3, 8)]
    monkeypatch.setattr(MemberModel, "gradients", None)
    monkeypatch.setattr(MemberModel, "masked_gradients", None)
    found = dict(QueryPasses(models, whole=True).gradients(items, "margin"))
    monkeypatch.undo()
    assert list(found) == list(models)
    for member, gradients in found.items():
        expected = MemberModel.load(task, CHOSEN, member.whole).gradients(items, "margin")
        torch.testing.assert_close(gradients.dense(), expected.dense(), rtol=1e-4, atol=1e-6)
    assert len({id(gradients) for gradients in found.values()}) == 2


class Turned(nn.Module):
    """Dropout where the batch is the second axis, or where nothing shows which it is."""

    def __init__(self, rows: bool) -> None:
        super().__init__()
        self.first, self.drop, self.last = nn.Linear(6, 8), nn.Dropout(0.25), nn.Linear(8, 3)
        self.rows = rows

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x).relu()[None].expand(6, -1, -1)
        return self.last(
            self.drop(h.flatten(0, 1)).unflatten(0, (6, -1))[2] if self.rows else self.drop(h)[2]
        )


@pytest.mark.parametrize("rows", [False, True])
def test_a_batch_on_the_second_axis_is_found_and_one_that_is_hidden_is_asked_mask_by_mask(
    task: Task, rows: bool
) -> None:
    torch.manual_seed(0)
    weights = Turned(rows).state_dict()
    turned = replace(task, model=lambda: Turned(rows), checkpoints=[Checkpoint(weights=weights)])
    models = {}
    for member in CHOSEN.members.members(1):
        models[member] = MemberModel.load(turned, CHOSEN, member, None, next(iter(models.values()), None))
    passes = QueryPasses(models)
    items = [task.train_set[row] for row in (3, 8)]
    found = dict(passes.gradients(items, "loss"))
    assert passes._together is not rows
    for member, gradients in found.items():
        torch.testing.assert_close(gradients.dense(), models[member].gradients(items).dense())


def test_stacked_masks_refuse_what_is_no_batch_of_copies() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)).eval()
    plan = plan_masks(model, [[partial(model, torch.ones(n, 4)) for n in (1, 2, 3)]])
    masks = [DropoutMask(model, seed, plan=plan) for seed in range(2)]
    with stack_masks(masks, model), pytest.raises(UnsupportedModel, match="copies"):
        model(torch.ones(3, 4))
    unplanned = [DropoutMask(model, seed) for seed in range(2)]
    with stack_masks(unplanned, model), pytest.raises(UnsupportedModel, match="copies"):
        model(torch.ones(4, 4))
    with stack_masks(masks, model):
        both = model(torch.ones(4, 4))
    for seed in range(2):
        with DropoutMask(model, seed).active():
            torch.testing.assert_close(both[2 * seed : 2 * seed + 2], model(torch.ones(2, 4)))
