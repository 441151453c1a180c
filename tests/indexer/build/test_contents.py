from pathlib import Path

import numpy as np
import pytest
import torch

from byline.models.member import MemberModel
from byline.task import Task
from byline_indexer.build.contents import columns, combined_blocks, member_layouts
from byline_indexer.build.probe import make_plan
from byline_indexer.progress import Silent
from byline_indexer.units.executor import InProcess
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.schedule import run_units
from byline_indexer.units.workspace import Workspace
from tests.indexer.conftest import Config


@pytest.fixture
def finished(config: Config, tiny: Task, tmp_path: Path) -> tuple[BuildPlan, Workspace]:
    plan = make_plan(config("trak"), tiny, tmp_path / "work")
    workspace = Workspace(plan.work)
    with InProcess(plan, tiny) as executor:
        run_units(plan, workspace, executor, Silent())
    return plan, workspace


def test_row_weights_are_the_mean_of_one_minus_p(finished: tuple[BuildPlan, Workspace], tiny: Task) -> None:
    plan, workspace = finished
    weights_R, _ = columns(plan, workspace)
    inputs = torch.stack([tiny.train_set[row][0] for row in range(90)])
    labels = torch.tensor([tiny.train_set[row][1] for row in range(90)])
    wrong = []
    for member in plan.members:
        model = MemberModel.load(tiny, plan.recipe, member).model
        p_RC = torch.softmax(model(inputs), dim=1)
        wrong.append(1 - p_RC[torch.arange(90), labels])
    expected_R = torch.stack(wrong).mean(dim=0).detach().numpy()
    assert weights_R is not None
    np.testing.assert_allclose(weights_R, expected_R, atol=1e-5)


def test_self_influence_is_each_rows_score_for_itself(
    finished: tuple[BuildPlan, Workspace],
) -> None:
    plan, workspace = finished
    weights_R, own_R = columns(plan, workspace)
    features_RK = np.concatenate(list(combined_blocks(plan, workspace))).astype(np.float64)
    assert weights_R is not None
    np.testing.assert_allclose(own_R, (features_RK**2).sum(axis=1) * weights_R, rtol=1e-5)


def test_layouts_add_up_to_the_width(finished: tuple[BuildPlan, Workspace]) -> None:
    plan, workspace = finished
    layouts = member_layouts(plan, workspace)
    assert [layout.name for layout in layouts] == ["c0", "c1"]
    assert next(combined_blocks(plan, workspace)).shape == (16, sum(x.width for x in layouts))
