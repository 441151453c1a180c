"""Every phase of a build is expected before it begins, and the updates of a small build never stand still."""

import time
from itertools import pairwise

import pytest

from byline.task import Task
from byline_indexer.build.build import build
from byline_indexer.build.expectations import Rates, expected_seconds
from byline_indexer.build.probe import probed_plan
from byline_indexer.progress import PREPARE, RemainingTime
from byline_indexer.units.schedule import every_phase
from tests.indexer.conftest import Config

RATES = Rates(gradient=0.1, eigen=1e-6, product=1e-9)


class Recorder(RemainingTime):
    """Notes when it was told anything, and what it told of the time that remains."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[float, float | None]] = []
        self.phases: list[str] = []

    def progress(self, phase: str, done: int, total: int) -> None:
        super().progress(phase, done, total)
        self.told.append((time.monotonic(), self.seconds()))
        self.phases.append(phase)

    def message(self, message: str) -> None:
        pass


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [("logra", {}), ("ekfac", {"pca": {"size": 12, "sample": 64}}), ("trak", {}), ("grad_dot", {})],
)
def test_every_phase_is_expected(config: Config, tiny: Task, recipe: str, changes: dict[str, object]) -> None:
    chosen = config(recipe, changes=changes)
    plan = probed_plan(chosen, tiny).plan
    expected = expected_seconds(plan, chosen, RATES)
    assert set(every_phase(plan)) <= expected.keys()
    assert {"write vectors", "write search", "verify"} <= expected.keys()
    assert all(seconds >= 0 for seconds in expected.values())
    passes = [seconds for seconds in expected.values() if seconds >= 0.1 * plan.rows]
    assert passes, "a pass over all rows takes at least their gradients"


def test_a_build_says_something_all_the_time(config: Config) -> None:
    recorder = Recorder()
    build(config("ekfac", changes={"pca": {"size": 12, "sample": 64}}), recorder)
    moments = [moment for moment, _ in recorder.told]
    assert max(after - before for before, after in pairwise(moments)) < 5
    assert recorder.phases.count(PREPARE) > 10, "the checks of the model tell their steps"
    assert recorder.phases[0] in {PREPARE, "read training set"}
    assert recorder.told[-1][1] == pytest.approx(0.0, abs=0.5)
