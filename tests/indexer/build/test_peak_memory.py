"""The peak memory of a build is foretold from a trial whose batches are smaller."""

from dataclasses import replace

import pytest

from byline.task import Task
from byline_indexer.build.peak_memory import foretold_peak, left_by_fits, peak_memory, resident_memory
from byline_indexer.build.probe import probed_plan
from byline_indexer.build.trial import Trial
from byline_indexer.units.unit import Stage
from tests.indexer.conftest import Config

LOADED = 1 << 50
"""More than this process has: what was measured of it does not count then."""


def test_this_process_is_measured() -> None:
    assert 1e7 < resident_memory() <= peak_memory()


@pytest.mark.parametrize("recipe", ["ekfac", "logra"])
def test_a_stage_holds_the_model_a_batch_and_what_is_fitted(config: Config, tiny: Task, recipe: str) -> None:
    plan = probed_plan(config(recipe), tiny).plan
    trial = Trial.run(probed_plan(config(recipe), tiny), tiny, 90)
    assert trial.batch > 0
    assert foretold_peak(plan, trial, 0) >= peak_memory()
    sums = max(trial.bytes_of(unit) for unit in trial.receipts if unit.stage is Stage.MEASURE)
    fitted = left_by_fits(trial)
    least = LOADED + trial.batch + fitted
    assert least <= foretold_peak(plan, trial, LOADED) <= least + sums + 12 * trial.width * plan.rows
    longer = replace(trial, batch=trial.batch + 1000)
    assert foretold_peak(plan, longer, LOADED) == foretold_peak(plan, trial, LOADED) + 1000
    on_a_gpu = replace(plan, numerics=replace(plan.numerics, device="cuda"))
    assert foretold_peak(on_a_gpu, trial, LOADED) == foretold_peak(plan, trial, LOADED) - trial.batch


def test_a_longer_batch_takes_more(config: Config, tiny: Task) -> None:
    probed = probed_plan(config("logra"), tiny)
    small = replace(
        probed, plan=replace(probed.plan, numerics=replace(probed.plan.numerics, batch_length=13))
    )
    large = Trial.run(probed_plan(config("logra"), tiny), tiny, 90)
    assert Trial.run(small, tiny, 90).batch < large.batch
