from collections import Counter
from pathlib import Path

import pytest

from byline.progress import Step
from byline.task import Task
from byline_indexer.build.probe import make_plan
from byline_indexer.progress import Silent
from byline_indexer.units import schedule
from byline_indexer.units.executor import InProcess
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.schedule import StageSteps, run_units, unfinished
from byline_indexer.units.unit import Stage, Unit
from byline_indexer.units.workspace import Workspace
from tests.indexer.conftest import SMALL, Config


class Recorder:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[int, int]] = {}
        self.said: list[str] = []

    def progress(self, phase: str, done: int, total: int) -> None:
        self.last[phase] = (done, total)

    def message(self, message: str) -> None:
        self.said.append(message)


def run(plan: BuildPlan, task: Task) -> Workspace:
    workspace = Workspace(plan.work)
    with InProcess(plan, task) as executor:
        run_units(plan, workspace, executor, Silent())
    return workspace


@pytest.mark.parametrize("recipe", sorted(SMALL))
def test_a_finished_plan_has_nothing_left_and_keeps_only_states_and_features(
    config: Config, tiny: Task, tmp_path: Path, recipe: str
) -> None:
    plan = make_plan(config(recipe), tiny, tmp_path / "work")
    workspace = run(plan, tiny)
    assert all(not unfinished(plan, workspace, member.name) for member in plan.members)
    kept = {path.parent.name.split("-")[0] for path in plan.work.rglob("*.safetensors")}
    assert kept == ({"emit", "reduce"} if plan.statistics else {"emit"})


def test_progress_counts_every_row_of_every_member(plan: BuildPlan, tiny: Task) -> None:
    recorder = Recorder()
    with InProcess(plan, tiny) as executor:
        run_units(plan, Workspace(plan.work), executor, recorder)
    assert recorder.last["project"] == recorder.last["emit"] == (180, 180)
    assert recorder.last["measure fisher"] == (180, 180)


def test_steps_within_a_row_are_told_now_and_then(plan: BuildPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(schedule.time, "monotonic", lambda: clock[0])
    unit = Unit(Stage.EMIT, "c0", 0)
    told: list[tuple[int, int]] = []
    recorder = Recorder()
    monkeypatch.setattr(recorder, "progress", lambda phase, done, total: told.append((done, total)))
    steps = StageSteps(plan, [unit], Counter(), Counter({"emit": 90}), recorder)
    weight = plan.weight(unit)
    for place in range(40):
        clock[0] += 0.3
        steps.report(Step("emit", fraction=place / 80))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert max(done for done, _ in told) == int(39 / 80 * weight)
    assert len(told) >= 40 * 0.3 / 1.3, "a report a second, of the same work where it has not grown"
    clock[0] += 0.3
    before = len(told)
    steps.report(Step("emit", fraction=0.4))
    assert len(told) == before or told[-1] == told[-2]


def left(plan: BuildPlan, workspace: Workspace) -> list[str]:
    return [str(unit.path) for stage in unfinished(plan, workspace, "c0") for unit in stage]


def test_a_lost_feature_block_needs_its_projection_and_nothing_else(plan: BuildPlan, tiny: Task) -> None:
    workspace = run(plan, tiny)
    workspace.discard(Unit(Stage.EMIT, "c0", 2))
    assert left(plan, workspace) == ["c0/project/0000002", "c0/emit/0000002"]


def test_a_lost_statistic_is_fitted_again_from_the_projections_of_all_rows(
    plan: BuildPlan, tiny: Task
) -> None:
    workspace = run(plan, tiny)
    workspace.discard(Unit(Stage.REDUCE, "c0", 0, "fisher"))
    names = [path.split("/")[1] for path in left(plan, workspace)]
    assert names == ["project"] * 6 + ["measure-fisher"] * 6 + ["reduce-fisher"]


def test_repairing_gives_the_bytes_that_were_there(plan: BuildPlan, tiny: Task) -> None:
    workspace = run(plan, tiny)
    before = {path: path.read_bytes() for path in plan.work.rglob("*") if path.is_file()}
    for unit in (Unit(Stage.REDUCE, "c0", 0, "fisher"), Unit(Stage.EMIT, "c1", 5)):
        workspace.discard(unit)
    run(plan, tiny)
    after = {path: path.read_bytes() for path in before if path.exists()}
    assert after == before


def test_outputs_that_were_read_are_deleted_on_resuming(plan: BuildPlan, tiny: Task) -> None:
    workspace = run(plan, tiny)
    # As after a kill between a unit's receipt and the deletion of what it had read.
    stray = Unit(Stage.PROJECT, "c0", 1)
    workspace.write(stray, workspace.read(Unit(Stage.EMIT, "c0", 1)))
    assert left(plan, workspace) == []
    assert not workspace.finished(stray)
