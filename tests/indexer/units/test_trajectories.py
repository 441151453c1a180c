"""Builds from recorded runs: what may change no bit, what must be refused, and what resumes."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.errors import BuildFailed, BylineError, InvalidQuery, InvalidRecipe, InvalidTask, StaleIndex
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.recipes import recipe
from byline.task import Task
from byline_indexer.build.build import build
from byline_indexer.build.contents import combined_blocks
from byline_indexer.build.estimate import estimate
from byline_indexer.build.probe import make_plan
from byline_indexer.config import BuildConfig
from byline_indexer.progress import Silent
from byline_indexer.units.executor import InProcess
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.schedule import run_units, unfinished
from byline_indexer.units.unit import Stage, Unit
from byline_indexer.units.worker import Worker
from byline_indexer.units.workspace import Workspace
from tests.indexer import recorded, tiny_task

PROJECTION = {"size_in": 4, "size_out": 4}
CHOSEN = recipe("dvemb", projection=PROJECTION)
QUERY = {"x": [0.1, -0.4, 1.2, 0.3, -0.8, 0.5], "label": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    recorded.record(folder, CHOSEN)
    return folder


def config(runs: Path, index: Path, **changes: object) -> BuildConfig:
    return BuildConfig.model_validate(
        {
            "task": f"{runs / 'recorded_task.py'}:recorded",
            "recipe": {"name": "dvemb", "projection": PROJECTION, **changes.pop("recipe", {})},
            "index": {"path": index, "dtype": "fp32"},
            "build": {"block_rows": 16, "batch_rows": 8, **changes.pop("build", {})},
            **changes,
        }
    )


def task_of(runs: Path) -> Task:
    return load_task(f"{runs / 'recorded_task.py'}:recorded").task


def test_an_adamw_run_needs_the_moments_after_its_last_step(tmp_path: Path) -> None:
    scale = {"kind": "second_moment", "power": 0.25}
    recorded.record(tmp_path, recipe("dvemb", projection=PROJECTION, scale=scale))
    source = tmp_path / "recorded_task.py"
    source.write_text(source.read_text().replace('run / "adam.safetensors"', "None"))
    with pytest.raises(
        InvalidTask, match=r"expected Checkpoint\.optimizer_state beside Checkpoint\.recording"
    ):
        build(config(tmp_path, tmp_path / "index", recipe={"scale": scale}))
    with pytest.raises(
        InvalidTask, match=r"to be of scale .*'none'.*, got one of .*second_moment.*: record the run again"
    ):
        build(config(tmp_path, tmp_path / "index"))


def planned(runs: Path, work: Path, **changes: object) -> tuple[BuildPlan, Task]:
    task = task_of(runs)
    return make_plan(config(runs, work / "index", **changes), task, work / "work"), task


def run(plan: BuildPlan, task: Task) -> np.ndarray:
    workspace = Workspace(plan.work)
    with InProcess(plan, task) as executor:
        run_units(plan, workspace, executor, Silent())
    return np.concatenate(list(combined_blocks(plan, workspace)))


def test_a_finished_build_keeps_features_and_nothing_else(runs: Path, tmp_path: Path) -> None:
    plan, task = planned(runs, tmp_path)
    assert all(len(spans) > 3 for spans in plan.recordings.values())
    run(plan, task)
    assert {path.parent.name for path in plan.work.rglob("*.safetensors")} == {"emit"}
    assert not unfinished(plan, Workspace(plan.work), "c0")


def test_carries_of_two_spans_are_all_that_lies_at_a_time(runs: Path, tmp_path: Path) -> None:
    plan, task = planned(runs, tmp_path)
    most = 0

    class Counting(InProcess):
        def run(self, units, on_done) -> None:
            nonlocal most
            super().run(units, on_done)
            most = max(most, len(list(plan.work.rglob("carry/*.safetensors"))))

    with Counting(plan, task) as executor:
        run_units(plan, Workspace(plan.work), executor, Silent())
    assert most == 1


def test_blocks_batches_and_spans_change_rounding_only(runs: Path, tmp_path: Path) -> None:
    found = run(*planned(runs, tmp_path / "a"))
    large = run(*planned(runs, tmp_path / "b", build={"block_rows": 128, "batch_rows": 64}))
    np.testing.assert_allclose(found, large, rtol=0, atol=1e-6 * np.abs(large).max())
    recorded.record(tmp_path / "whole", CHOSEN, span_bytes=1 << 30)
    whole = run(*planned(tmp_path / "whole", tmp_path / "c"))
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-6 * np.abs(whole).max())
    assert not found[list(recorded.NEVER)].any()


@pytest.mark.slow
def test_processes_give_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    one = build(config(runs, tmp_path / "one"))
    two = build(config(runs, tmp_path / "two", build={"workers": 2}))
    files = ["vectors/00000.npy", "search.faiss"]
    assert [(one.path / f).read_bytes() for f in files] == [(two.path / f).read_bytes() for f in files]


def stopped(plan: BuildPlan, task: Task, after: int) -> None:
    """Run this many units of the plan and no more, as a killed build would."""

    class Killed(Exception):
        pass

    left = [after]

    class Killing(InProcess):
        def run(self, units, on_done) -> None:
            for unit in units:
                if not left[0]:
                    raise Killed
                left[0] -= 1
                super().run([unit], on_done)

    with pytest.raises(Killed), Killing(plan, task) as executor:
        run_units(plan, Workspace(plan.work), executor, Silent())


@pytest.mark.parametrize("after", [1, 2, 3, 4, 9, 14, 17])
def test_a_killed_build_goes_on_to_the_same_bytes(runs: Path, tmp_path: Path, after: int) -> None:
    expected = run(*planned(runs, tmp_path / "a"))
    plan, task = planned(runs, tmp_path / "b")
    stopped(plan, task, after)
    done = sum(len(stage) for stage in plan.stages("c0")) - sum(
        len(stage) for stage in unfinished(plan, Workspace(plan.work), "c0")
    )
    assert done >= min(after, 1)
    assert np.array_equal(run(plan, task), expected)


def test_what_was_lost_is_made_again_from_the_nearest_product(runs: Path, tmp_path: Path) -> None:
    expected = run(*planned(runs, tmp_path / "a"))
    plan, task = planned(runs, tmp_path / "b")
    spans = len(plan.recordings["c0"])
    stopped(plan, task, 2 * (spans - 1) + 2)  # every span traced, one block emitted
    workspace = Workspace(plan.work)
    workspace.discard(Unit(Stage.TRACE, "c0", 1))
    left = [unit for stage in unfinished(plan, workspace, "c0") for unit in stage]
    assert [u.block for u in left if u.stage is Stage.TRACE] == [1]
    assert [u.block for u in left if u.stage is Stage.CARRY] == list(range(spans - 1, 1, -1))
    assert np.array_equal(run(plan, task), expected)


def test_a_changed_recording_makes_another_index_and_the_old_one_stale(tmp_path: Path) -> None:
    recorded.record(tmp_path, CHOSEN)
    first = build(config(tmp_path, tmp_path / "index"))
    Attributor.open(tmp_path / "index").attribute(AttributionRequest(query=QUERY, k=3))
    for run_folder in tmp_path.glob("run-*"):
        shutil.rmtree(run_folder / "steps")
    recorded.record(tmp_path, CHOSEN, span_bytes=1 << 13)
    with pytest.raises(StaleIndex):
        Attributor.open(tmp_path / "index").warm()
    assert build(config(tmp_path, tmp_path / "index")).path != first.path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"projection": {**PROJECTION, "seed": 1}}, "of projection .*'seed': 1.* got one of .*'seed': 0"),
        ({"projection": {"size_in": 4, "size_out": 3}}, "'size_out': 3"),
        ({"layers": "last"}, "of layers last, got one of all"),
    ],
)
def test_a_recording_of_another_recipe_is_refused(
    runs: Path, tmp_path: Path, changes: dict, words: str
) -> None:
    with pytest.raises(InvalidTask, match=words):
        build(config(runs, tmp_path, recipe=changes))


def test_a_recording_of_another_training_set_or_model_is_refused(tmp_path: Path) -> None:
    recorded.record(tmp_path, CHOSEN, ROWS=95)
    with pytest.raises(InvalidTask, match="of rows 95, got one of 90"):
        build(config(tmp_path, tmp_path / "index"))
    runs = tmp_path / "whole"
    recorded.record(runs, CHOSEN)
    task = task_of(runs)
    less = replace(task, layers=replace(task.layers, exclude=("3",)))
    with pytest.raises(InvalidTask, match="Task's 1 blocks of parameters, got one of 2 others"):
        make_plan(config(runs, tmp_path / "index"), less)


def test_no_recording_is_said_so(runs: Path, tmp_path: Path) -> None:
    chosen = config(runs, tmp_path / "index")
    task = task_of(runs)
    with pytest.raises(InvalidTask, match=r"expected Checkpoint\.recording"):
        make_plan(chosen, tiny_task.task())
    gone = [replace(each, recording=tmp_path / "nowhere") for each in task.checkpoints]
    with pytest.raises(InvalidTask, match="found none: record one"):
        make_plan(chosen, replace(task, checkpoints=gone))


def test_a_damaged_span_names_its_unit(tmp_path: Path) -> None:
    recorded.record(tmp_path, CHOSEN)
    plan, task = planned(tmp_path, tmp_path)
    last = len(plan.recordings["c0"]) - 1
    path = tmp_path / f"run-0/steps/span-{last:07d}.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BuildFailed, match=r"stage 'trace', member c0.*differs from its checksum"):
        Worker(plan, task).perform(Unit(Stage.TRACE, "c0", last))


def test_groups_are_sums_of_points_and_cannot_be_drilled_into(runs: Path, tmp_path: Path) -> None:
    build(config(runs, tmp_path / "points"))
    build(config(runs, tmp_path / "groups", groups={"by": "random", "size": 7}))
    one, other = Attributor.open(tmp_path / "points"), Attributor.open(tmp_path / "groups")
    by_row = {
        each.row: each.score
        for each in one.attribute(AttributionRequest(query=QUERY, k=tiny_task.ROWS)).proponents
    }
    groups = AttributionIndex.open(tmp_path / "groups")
    found = other.attribute(AttributionRequest(query=QUERY, k=groups.rows)).proponents
    for each in found:
        expected = sum(by_row[int(row)] for row in groups.groups[each.row])
        assert each.score == pytest.approx(expected, rel=1e-3, abs=1e-6)
    with pytest.raises(InvalidQuery, match="recorded run, which an index does not hold"):
        other.attribute(AttributionRequest(query=QUERY, k=3, drill_down=True))


def test_a_groups_own_score_is_its_points_scores_with_one_another(runs: Path, tmp_path: Path) -> None:
    build(config(runs, tmp_path / "points"))
    build(config(runs, tmp_path / "groups", groups={"by": "random", "size": 30}))
    points = Attributor.open(tmp_path / "points")
    groups = AttributionIndex.open(tmp_path / "groups")
    train_set = tiny_task.task().train_set
    for group in range(groups.rows):
        rows, total = groups.groups[group], 0.0
        for row in rows:
            x, label = train_set[int(row)]
            asked = AttributionRequest(query={"x": x.tolist(), "label": label}, k=tiny_task.ROWS)
            scores = {each.row: each.score for each in points.attribute(asked).proponents}
            total += sum(scores[int(other)] for other in rows)
        assert groups.self_influence[group] == pytest.approx(total, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "groups"),
    [({}, {"by": "owner", "build": "fast"}), ({"pca": {"size": 8}}, {"by": "owner"})],
)
def test_groups_that_a_recording_cannot_make_are_refused(
    runs: Path, tmp_path: Path, changes: dict, groups: dict
) -> None:
    with pytest.raises((BylineError, ValueError), match="recorded run: groups need build = 'sums'"):
        config(runs, tmp_path, recipe=changes, groups=groups)


@pytest.mark.parametrize(
    "changes",
    [
        {"members": {"masks": 2}},
        {"row_weight": "relative_l"},
        {"train_signal": "margin"},
        {"sides": "two_sided"},
    ],
)
def test_what_a_recorded_run_is_not_made_of_is_refused(changes: dict) -> None:
    with pytest.raises(InvalidRecipe, match="'trajectory' goes with"):
        recipe("dvemb", **changes)


def test_a_pca_rotates_recorded_features(runs: Path, tmp_path: Path) -> None:
    build(config(runs, tmp_path / "whole"))
    build(config(runs, tmp_path / "pca", recipe={"pca": {"size": 96}}))
    answers = [
        Attributor.open(tmp_path / name).attribute(AttributionRequest(query=QUERY, k=9))
        for name in ("whole", "pca")
    ]
    assert [each.row for each in answers[0].proponents] == [each.row for each in answers[1].proponents]


def test_an_estimate_counts_the_visits(runs: Path, tmp_path: Path) -> None:
    found = estimate(config(runs, tmp_path / "index"))
    visits = 2 * sum(10 + step for step in range(recorded.STEPS))
    assert {each.name: each.rows for each in found.passes}["trace and carry"] == visits
    assert found.temporary > visits // 2 * found.width // 2 * 4
