"""A model that is not checked is cut into its examples as a checked one is."""

import pytest
import torch

from byline.gradients.capture.faults import InseparableError
from byline.members import Member
from byline.models.device import Compute
from byline.models.member import MemberModel
from byline.models.unchecked import Unchecked
from byline.recipes import recipe
from byline.task import Task
from tests.indexer import tiny_task


def unchecked(task: Task, name: str) -> tuple[MemberModel, Unchecked]:
    checks = Unchecked(task, recipe(name), Compute())
    return MemberModel.load(task, recipe(name), Member(0), checks=checks), checks


@pytest.mark.parametrize("name", ["logra", "trak"])
def test_gradients_are_those_of_a_checked_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = tiny_task.task()
    checked = MemberModel.load(tiny, recipe(name), Member(0))
    monkeypatch.setattr("byline.models.network.make_collector", None)  # a check would call it
    model, checks = unchecked(tiny, name)
    assert checks.spared > 0
    assert model.report == checked.report
    items = [tiny.train_set[row] for row in range(4)]
    for target in ("loss", *tiny.targets):
        one, other = model.gradients(items, target).dense(), checked.gradients(items, target).dense()
        torch.testing.assert_close(one, other)


def test_a_model_that_needs_another_way_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def inseparable(*_: object, **__: object) -> None:
        raise InseparableError("the examples meet")

    monkeypatch.setattr("byline.models.unchecked.learn_separation", inseparable)
    model, checks = unchecked(tiny_task.task(), "logra")
    assert checks.spared == 0
    assert model.report.passes == "batch", "the check found its own way"
