from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from byline.errors import BuildFailed
from byline.task import Task
from byline_indexer.build.contents import combined_blocks
from byline_indexer.build.probe import make_plan
from byline_indexer.progress import Silent
from byline_indexer.units.executor import InProcess
from byline_indexer.units.schedule import run_units
from byline_indexer.units.state import add_state, read_state
from byline_indexer.units.unit import Stage, Unit
from byline_indexer.units.worker import Worker
from byline_indexer.units.workspace import Workspace
from tests.indexer.conftest import SMALL, Config


def features(config: Config, tiny: Task, work: Path, recipe: str, **build: object) -> np.ndarray:
    """All scores of all pairs: free of the sign and rotation that an eigenbasis may choose."""
    plan = make_plan(config(recipe, **build), tiny, work)
    workspace = Workspace(plan.work)
    with InProcess(plan, tiny) as executor:
        run_units(plan, workspace, executor, Silent())
    features_RK = np.concatenate(list(combined_blocks(plan, workspace))).astype(np.float64)
    return features_RK @ features_RK.T


@pytest.mark.parametrize("recipe", sorted(SMALL))
def test_blocks_and_batches_change_rounding_only(
    config: Config, tiny: Task, tmp_path: Path, recipe: str
) -> None:
    small = features(config, tiny, tmp_path / "small", recipe, block_rows=6, batch_rows=3)
    large = features(config, tiny, tmp_path / "large", recipe, block_rows=128, batch_rows=128)
    np.testing.assert_allclose(small, large, atol=2e-4 * np.abs(large).max())


def test_a_statistic_is_fitted_on_its_sample_alone(config: Config, tiny: Task, tmp_path: Path) -> None:
    chosen = config("trak", changes={"curvature": {"sample": 20}})
    plan = make_plan(chosen, tiny, tmp_path / "work")
    assert sum(map(len, plan.fit_blocks("fisher"))) == 20
    outside = sorted(set(range(90)) - set(np.concatenate(plan.fit_blocks("fisher")).tolist()))
    items = [tiny.train_set[row] for row in range(90)]
    items[outside[0]] = (items[outside[0]][0] + 1, items[outside[0]][1])
    states = []
    for name, task in (("whole", tiny), ("changed", replace(tiny, train_set=items))):
        own = replace(plan, work=tmp_path / name)
        with InProcess(own, task) as executor:
            run_units(own, Workspace(own.work), executor, Silent())
        states.append(read_state(own, Workspace(own.work), "c0"))
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_masks_of_one_checkpoint_share_its_model(config: Config, tiny: Task, tmp_path: Path) -> None:
    calls = []

    def counted() -> torch.nn.Module:
        calls.append(1)
        return tiny.model()

    plan = make_plan(config("ekfac"), tiny, tmp_path / "work")
    worker = Worker(plan, replace(tiny, model=counted))
    for member in ("c0-m0", "c0-m1", "c1-m0"):
        worker.perform(Unit(Stage.MEASURE, member, 0, "factors"))
    assert len(calls) == 2


def test_a_task_that_differs_from_process_to_process_is_refused(
    config: Config, tiny: Task, tmp_path: Path
) -> None:
    plan = replace(make_plan(config("ekfac"), tiny, tmp_path / "work"), rows=91)
    with pytest.raises(BuildFailed, match="the same Task in every process"):
        Worker(plan).perform(Unit(Stage.MEASURE, "c0-m0", 0, "factors"))


def test_sums_are_added_without_touching_the_parts() -> None:
    sums: dict[str, torch.Tensor] = {}
    part = {"a": torch.ones(2, dtype=torch.float64)}
    add_state(sums, part)
    add_state(sums, part)
    assert sums["a"].tolist() == [2, 2]
    assert part["a"].tolist() == [1, 1]
