"""A run's metric and damping: their own formulas, and none where the run is not declared."""

from dataclasses import replace

import pytest
import torch

from byline.members import Member
from byline.models.member import MemberModel
from byline.models.run_geometry import ADAM_DAMPING, BETA2, RunGeometry, run_geometry
from byline.recipes import recipe
from byline.task import Task
from tests.indexer import tiny_task

MEMBER = Member(1)


def geometry(*, scaled: bool = False, **fields: object) -> RunGeometry | None:
    task = tiny_task.task()
    checkpoints = [task.checkpoints[0], replace(task.checkpoints[1], **fields)]
    asked: Task = replace(task, checkpoints=checkpoints)
    blocks = MemberModel.load(asked, recipe("grad_dot"), MEMBER).blocks
    return run_geometry(asked, MEMBER, blocks, scaled=scaled)


def test_gradient_descent_of_so_many_steps() -> None:
    found = geometry(steps=50, learning_rate=0.2)
    assert found == RunGeometry(damping=0.1, metric_P=None)


@pytest.mark.parametrize("scaled", [False, True])
def test_adams_steps_are_in_units_of_its_second_moment(scaled: bool) -> None:
    moments = tiny_task.moments(1)
    found = geometry(steps=50, learning_rate=0.2, optimizer_state=moments, scaled=scaled)
    assert found is not None
    assert found.damping == pytest.approx(0.1 * ADAM_DAMPING)
    expected = []
    for layer in ("0", "3"):  # a block's rows are a layer's weights, and its bias after them
        weight, bias = (moments[f"exp_avg_sq/{layer}.{part}"].double() for part in ("weight", "bias"))
        second = torch.cat([weight, bias[:, None]], dim=1).flatten()
        expected.append((second / (1 - BETA2**50)) ** -0.25)
    assert found.metric_P is not None
    torch.testing.assert_close(found.metric_P, torch.cat(expected), rtol=1e-4, atol=0)


@pytest.mark.parametrize("left_out", ["steps", "learning_rate"])
def test_a_run_that_is_not_declared_has_none(left_out: str) -> None:
    assert geometry(**({"steps": 50, "learning_rate": 0.2} | {left_out: None})) is None


def test_a_scale_that_is_not_the_runs_has_none() -> None:
    assert geometry(steps=50, learning_rate=0.2, scaled=True) is None
