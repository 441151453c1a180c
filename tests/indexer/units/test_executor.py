import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from byline.errors import BuildFailed
from byline.loading.task_file import load_task
from byline.task import Task
from byline_indexer.build.probe import make_plan
from byline_indexer.progress import Silent
from byline_indexer.units.executor import Executor, InProcess, Processes
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.schedule import run_units
from byline_indexer.units.unit import Stage, Unit
from byline_indexer.units.workspace import Receipt, Workspace
from tests.indexer.conftest import TINY, Config, TaskFile


def outputs(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }


def ran(plan: BuildPlan, executor: Executor) -> dict[str, bytes]:
    with executor:
        run_units(plan, Workspace(plan.work), executor, Silent())
    return outputs(plan.work)


@pytest.mark.parametrize("recipe", ["trak", pytest.param("ekfac", marks=pytest.mark.slow)])
def test_both_executors_leave_the_same_bytes(config: Config, tiny: Task, tmp_path: Path, recipe: str) -> None:
    plans = [make_plan(config(recipe), tiny, tmp_path / name) for name in ("one", "many")]
    alone = ran(plans[0], InProcess(plans[0], tiny))
    together = ran(plans[1], Processes(plans[1], workers=2))
    assert alone == together
    assert any(name.startswith("outputs/c1") for name in alone)


class Backwards:
    """An executor as somebody else might write one: last unit first, and each of them twice."""

    def __init__(self, inner: InProcess) -> None:
        self._inner = inner

    def run(self, units: list[Unit], on_done: object) -> None:
        kept: list[tuple[Unit, Receipt]] = []
        for _ in range(2):
            self._inner.run(units[::-1], lambda unit, receipt: kept.append((unit, receipt)))
        for unit, receipt in dict(kept).items():
            on_done(unit, receipt)  # type: ignore[operator]

    def __enter__(self) -> "Backwards":
        self._inner.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._inner.__exit__(None, None, None)


def test_order_and_repetition_do_not_matter(config: Config, tiny: Task, tmp_path: Path) -> None:
    plans = [make_plan(config("trak"), tiny, tmp_path / name) for name in ("one", "back")]
    forwards = ran(plans[0], InProcess(plans[0], tiny))
    assert ran(plans[1], Backwards(InProcess(plans[1], tiny))) == forwards  # type: ignore[arg-type]


class Losing:
    """An executor whose workers write elsewhere now and then: receipts come, outputs do not."""

    def __init__(self, inner: InProcess, workspace: Workspace, lost: Unit, part: str) -> None:
        self._inner, self._workspace, self._lost, self._part = inner, workspace, lost, part

    def run(self, units: list[Unit], on_done: object) -> None:
        def lose(unit: Unit, receipt: Receipt) -> None:
            output = self._workspace.root / "outputs" / f"{unit.path}.safetensors"
            if unit == self._lost and self._part == "all":
                output.unlink()
            elif unit == self._lost:
                output.write_bytes(output.read_bytes()[:-8])
            on_done(unit, receipt)  # type: ignore[operator]

        self._inner.run(units, lose)

    def __enter__(self) -> "Losing":
        self._inner.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._inner.__exit__(None, None, None)


@pytest.mark.parametrize("lost", [Unit(Stage.PROJECT, "c0", 2), Unit(Stage.EMIT, "c1", 5)])
@pytest.mark.parametrize(("part", "found"), [("all", "none"), ("end", r"\d+ bytes")])
def test_an_output_that_did_not_arrive_fails_at_once_and_is_made_again(
    config: Config, tiny: Task, tmp_path: Path, lost: Unit, part: str, found: str
) -> None:
    plans = [make_plan(config("trak"), tiny, tmp_path / name) for name in ("one", "lost")]
    whole = ran(plans[0], InProcess(plans[0], tiny))
    losing = Losing(InProcess(plans[1], tiny), Workspace(plans[1].work), lost, part)
    with pytest.raises(BuildFailed, match=rf"{re.escape(str(lost))}: expected its output.*found {found}"):
        ran(plans[1], losing)  # type: ignore[arg-type]
    assert ran(plans[1], InProcess(plans[1], tiny)) == whole


def test_threads_are_the_plans_and_are_put_back(plan: BuildPlan, tiny: Task) -> None:
    before = torch.get_num_threads()
    wanted = replace(plan, numerics=replace(plan.numerics, threads=before + 1))
    with InProcess(wanted, tiny):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_unit_is_named_and_the_finished_are_kept(
    config: Config, task_file: TaskFile, tmp_path: Path, workers: int
) -> None:
    path = task_file(BAD_ROW=50)
    task = load_task(f"{path}:task").task
    plan = make_plan(config("trak", task=path), task, tmp_path / "work")
    executor = InProcess(plan, task) if workers == 1 else Processes(plan, workers)
    with pytest.raises(BuildFailed, match=r"'project', member c0, block 3, rows 48 to 55: .*NaN"):
        ran(plan, executor)
    assert len(list((plan.work / "receipts").rglob("*.json"))) >= 2
    assert not list(plan.work.rglob(".tmp-*"))


def test_a_worker_that_dies_is_a_failed_build(config: Config, tmp_path: Path) -> None:
    source = TINY.read_text()
    deadly = tmp_path / "deadly.py"
    deadly.write_text(source.replace("def margin(", "def margin(*_): import os; os._exit(9)\n\n\ndef _("))
    tiny = load_task(f"{TINY}:task").task
    plan = replace(make_plan(config("trak"), tiny, tmp_path / "work"), task=f"{deadly}:task")
    with pytest.raises(BuildFailed, match="worker process ended"):
        ran(plan, Processes(plan, 1))


@pytest.mark.slow
def test_workers_end_with_a_killed_build(task_file: TaskFile, tmp_path: Path) -> None:
    slow = tmp_path / "slow_task.py"
    pid_file = tmp_path / "pid"
    text = task_file().read_text()
    body = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    slow.write_text(text.replace("def task() -> Task:\n", f"def task() -> Task:\n    {body}\n"))
    script = tmp_path / "orphans.py"
    script.write_text(
        "import sys\nfrom dataclasses import replace\nfrom pathlib import Path\n"
        "from byline.loading.task_file import load_task\nfrom byline_indexer.config import BuildConfig\n"
        "from byline_indexer.units.executor import Processes\nfrom byline_indexer.build.probe import make_plan\n"
        "from byline_indexer.units.unit import Stage, Unit\n"
        "if __name__ == '__main__':\n"
        f"    task = {str(tmp_path / 'tiny_task.py')!r} + ':task'\n"
        "    config = BuildConfig.model_validate(\n"
        "        {'task': task, 'recipe': {'name': 'trak'}, 'index': {'path': 'x'}})\n"
        f"    plan = make_plan(config, load_task(task).task, Path({str(tmp_path / 'work')!r}))\n"
        f"    plan = replace(plan, task={str(slow)!r} + ':task')\n"
        "    with Processes(plan, 1) as pool:\n"
        "        pool.run([Unit(Stage.PROJECT, 'c0', 0)], print)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], env=_environment()) as parent:
        worker = _wait_for_pid(pid_file)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        deadline = time.monotonic() + 20
        while _alive(worker):
            assert time.monotonic() < deadline, "the worker outlived its build"
            time.sleep(0.05)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}


def _wait_for_pid(path: Path) -> int:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, "the worker did not start"
        time.sleep(0.05)
    return int(path.read_text())


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False
