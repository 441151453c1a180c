"""A member's model is checked when it is loaded, and computes in the chosen precision."""

from dataclasses import replace

import pytest

from byline.errors import InvalidTask
from byline.loading.task_file import load_task
from byline.models.device import Compute
from byline.models.member import MemberModel
from byline.models.network import probed_items
from byline.recipes import recipe
from byline.task import Task
from tests.byline.features.conftest import RECIPE, TINY


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task(f"{TINY}:task").task


def test_bfloat16_is_close(task: Task) -> None:
    chosen = recipe("grad_dot", projection={"kind": "identity"})
    member = chosen.members.members(2)[0]
    items = [task.train_set[row] for row in range(5)]
    exact = MemberModel.load(task, chosen, member).gradients(items).dense()
    rough = MemberModel.load(task, chosen, member, Compute(precision="bfloat16")).gradients(items).dense()
    assert 0 < float((exact - rough.float()).norm() / exact.norm()) < 0.03


def test_the_gradient_check_looks_at_points_with_a_loss(task: Task) -> None:
    model = task.model().eval().requires_grad_(requires_grad=False)
    losses = [float(task.loss(model, task.collate([item]))) for item in probed_items(task, model, Compute())]
    every = [
        float(task.loss(model, task.collate([task.train_set[row]]))) for row in range(len(task.train_set))
    ]
    assert min(losses) > sorted(every)[len(every) // 2]


def test_a_broken_target_is_found_when_the_model_is_loaded(task: Task) -> None:
    broken = replace(task, targets={"wide": lambda model, batch: model(batch[0])})
    with pytest.raises(InvalidTask, match="one value an example"):
        MemberModel.load(broken, RECIPE, RECIPE.members.members(2)[0])
