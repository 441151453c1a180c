"""A trial runs the build's own units on a few rows and leaves nothing behind."""

from dataclasses import replace
from pathlib import Path

import pytest

from byline.groups import GroupOptions
from byline.recipes import recipe
from byline.task import Task
from byline_indexer.build.estimate import estimate
from byline_indexer.build.probe import probed_plan
from byline_indexer.build.trial import HEAVY_PART, PRODUCT_ROWS, Trial, trial_plan, trial_rows
from byline_indexer.units.unit import Stage, Unit
from tests.indexer.conftest import Config


def test_a_pass_takes_its_units_times_what_a_unit_took(config: Config, tiny: Task) -> None:
    chosen = config("logra", workers=2)
    probed = probed_plan(chosen, tiny)
    trial = Trial.run(probed, tiny, 90)
    assert probed.model is None
    assert {unit.block for unit in trial.seconds if unit.stage is Stage.EMIT} == {0, 1}
    emit = Unit(Stage.EMIT, "c0", 5)
    assert trial.rate(emit) == pytest.approx(trial.seconds[Unit(Stage.EMIT, "c0", 1)] / 8)
    assert trial.width == 28
    assert not probed.plan.work.joinpath("outputs").exists()


def test_a_trial_has_whole_groups(config: Config, tiny: Task, tmp_path: Path) -> None:
    chosen = config("logra", changes={"members": {"checkpoints": [0]}})
    grouped = chosen.model_copy(update={"groups": GroupOptions(by="random", size=30, build="fast")})
    plan = trial_plan(probed_plan(grouped, tiny).plan, 3, tmp_path)
    assert plan.groups is not None
    assert plan.groups.sizes.tolist() == [30]
    found = {each.name: each.rows for each in estimate(grouped).passes}
    assert found["project and emit"] == 90


def test_curvature_products_are_tried_on_few_rows(config: Config, tiny: Task, tmp_path: Path) -> None:
    exact = recipe("if_exact", curvature={"matrix": "hessian"}, sides="one_sided")
    plan = trial_plan(probed_plan(config().model_copy(update={"recipe": exact}), tiny).plan, 90, tmp_path)
    products = [s for s in plan.statistics if s.source == "products"]
    assert [s.sample for s in products] == [PRODUCT_ROWS] * len(products)
    assert products


def test_a_heavy_build_is_tried_on_a_small_part_of_its_rows(config: Config, tiny: Task) -> None:
    probed = probed_plan(config("logra"), tiny)
    assert len(trial_rows(probed, tiny, 90).rows) == 16, "two batches"
    chosen = trial_rows(replace(probed, row_seconds=10.0), tiny, 90)
    assert chosen.rows == [0, 22, 45, 67], "spread over the training set"
    assert len(chosen.rows) == 90 // HEAVY_PART
    assert chosen.lengths == pytest.approx(1.0), "all items have one length"
