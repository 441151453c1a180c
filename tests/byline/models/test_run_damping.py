"""The damping of a run: its own formula, in the units of the parameters' scale, and none where it is not declared."""

from dataclasses import replace

import pytest
import torch

from byline.members import Member
from byline.models.member import MemberModel
from byline.models.run_damping import BETA2, run_damping
from byline.recipes import recipe
from byline.task import Task
from tests.indexer import tiny_task

MEMBER = Member(1)


def damping(*, scaled: bool = False, **fields: object) -> list[float] | None:
    task = tiny_task.task()
    checkpoints = [task.checkpoints[0], replace(task.checkpoints[1], **fields)]
    asked: Task = replace(task, checkpoints=checkpoints)
    blocks = MemberModel.load(asked, recipe("grad_dot"), MEMBER).blocks
    found = run_damping(asked, MEMBER, blocks, scaled=scaled)
    return None if found is None else [round(each, 9) for each in found]


def test_gradient_descent_of_so_many_steps() -> None:
    assert damping(steps=50, learning_rate=0.2) == [0.1, 0.1]


def test_adams_steps_are_in_units_of_its_second_moment() -> None:
    moments = tiny_task.moments(1)
    found = damping(steps=50, learning_rate=0.2, optimizer_state=moments)
    for layer, own in zip(("0", "3"), found or (), strict=True):
        second = torch.cat([moments[f"exp_avg_sq/{layer}.{part}"].flatten() for part in ("weight", "bias")])
        unit = float((second.double() / (1 - BETA2**50)).sqrt().mean())
        assert own == pytest.approx(0.1 * unit, rel=1e-5)
    assert damping(steps=50, learning_rate=0.2, optimizer_state=moments, scaled=True) == [0.1, 0.1]


@pytest.mark.parametrize("left_out", ["steps", "learning_rate"])
def test_a_run_that_is_not_declared_has_none(left_out: str) -> None:
    assert damping(**({"steps": 50, "learning_rate": 0.2} | {left_out: None})) is None


def test_a_scale_that_is_not_the_runs_has_none() -> None:
    assert damping(steps=50, learning_rate=0.2, scaled=True) is None
