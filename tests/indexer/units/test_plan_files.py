"""A plan reaches its workers whole, and a worker that dies at its start ends the build with one error."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from byline.errors import BuildFailed
from byline.groups import GroupOptions, GroupPartition
from byline.models.checkpoints import checkpoint_digests
from byline.task import Task
from byline_indexer.build.probe import make_plan
from byline_indexer.units.executor import Processes
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.plan_files import any_started, read_plan, write_plan
from byline_indexer.units.unit import Stage, Unit
from tests.indexer.conftest import SMALL, TINY, Config

UNIT = Unit(Stage.EMIT, "c0", 0)


def same(one: BuildPlan, other: BuildPlan) -> bool:
    groups = [plan.groups.group_of_rows.tolist() if plan.groups else None for plan in (one, other)]
    return replace(one, groups=None) == replace(other, groups=None) and groups[0] == groups[1]


@pytest.mark.parametrize("recipe", sorted(SMALL))
def test_a_plan_comes_over_as_it_is(config: Config, tiny: Task, tmp_path: Path, recipe: str) -> None:
    plan = make_plan(config(recipe), tiny, tmp_path / "work")
    plan = replace(
        plan,
        task_digest="0" * 64,
        checkpoints={0: checkpoint_digests(tiny.checkpoints[0])},
        recordings={"c0": (3, 4)},
        members=tuple(replace(member, weight=0.1) for member in plan.members),
        grouping=GroupOptions(by="random", size=7),
        groups=GroupPartition.of(np.arange(90) % 13),
    )
    write_plan(plan, tmp_path / "handover")
    assert not any_started(tmp_path / "handover")
    found = read_plan(tmp_path / "handover")
    assert same(found, plan)
    assert [member.weight for member in found.members] == [0.1] * len(plan.members)
    assert any_started(tmp_path / "handover")
    assert found.record() == plan.record()


def test_what_a_process_is_spawned_with_does_not_grow_with_the_rows(plan: BuildPlan) -> None:
    large = replace(plan, rows=1_000_000)
    assert large.fit_blocks(plan.statistics[0].name)  # samples that are known are derived again
    write_plan(large, plan.work / "large")
    write_plan(plan, plan.work / "small")
    sizes = [(plan.work / name / "plan.json").stat().st_size for name in ("large", "small")]
    assert sizes[0] - sizes[1] < 100


def test_a_worker_of_other_libraries_does_not_work(plan: BuildPlan) -> None:
    changed = replace(plan, libraries={**plan.libraries, "torch": "0.0"})
    with (
        pytest.raises(BuildFailed, match="versions of torch changed during the build"),
        Processes(changed, 1) as pool,
    ):
        pool.run([UNIT], lambda *_: None)


def test_a_plan_that_cannot_be_read_is_told(plan: BuildPlan) -> None:
    with Processes(plan, 1) as pool:
        (plan.work / "handover" / "plan.json").unlink()
        with pytest.raises(BuildFailed, match=r"could not start: FileNotFoundError"):
            pool.run([UNIT], lambda *_: None)


SCRIPT = """
import sys
from pathlib import Path

from byline_indexer.build.build import build
from byline_indexer.config import load_config

{setup}
build(load_config(Path(sys.argv[1])))
"""


@pytest.mark.slow
@pytest.mark.parametrize("setup", ["", "if __name__ != '__main__':\n    import os; os._exit(3)"])
def test_a_worker_that_dies_at_its_start_ends_the_build(tmp_path: Path, setup: str) -> None:
    """25,000 rows: what a worker is spawned with once grew with them, past what a pipe holds."""
    task = TINY.read_text().replace("ROWS = 90", "ROWS = 25_000")
    (tmp_path / "large_task.py").write_text(task.replace("CHECKPOINTS = 2", "CHECKPOINTS = 1"))
    (tmp_path / "build.toml").write_text(
        'task = "large_task.py:task"\n[recipe]\nname = "ekfac"\nprojection = { size = 8 }\n'
        '[index]\npath = "index"\n[build]\nworkers = 2\n'
    )
    script = tmp_path / "unguarded.py"
    script.write_text(SCRIPT.format(setup=setup))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "build.toml")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("BuildFailed: a worker process ended as it started") == 1
    assert "if __name__ == '__main__':" in done.stderr
    assert len(re.findall("^Traceback", done.stderr, re.MULTILINE)) <= 2  # the error, and its cause
    assert not list((tmp_path / "index").glob(".build-*/handover"))
