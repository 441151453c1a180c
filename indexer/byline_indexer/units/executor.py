"""Run units and report their receipts, in this process or in several.

An executor knows nothing of stages: it gets units that do not depend on one another and runs them in any
order, at least once each. Anything that can call `Worker.perform` somewhere can be one.
"""

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import torch

from byline.errors import BuildFailed
from byline.index.libraries import libraries
from byline.models.member import MemberModel
from byline.task import Task
from byline_indexer.processes import interrupts_held, spawned
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.plan_files import any_started, read_plan, write_plan
from byline_indexer.units.unit import Unit
from byline_indexer.units.worker import Worker
from byline_indexer.units.workspace import Receipt

OnDone = Callable[[Unit, Receipt], None]
HANDOVER = "handover"
"""Folder of the work directory that workers read their plan from."""
UNSTARTED = (
    "a worker process ended as it started, before any work. If a script of your own calls build with several workers, "
    "put the call below `if __name__ == '__main__':`, since every worker imports the script; otherwise read what the "
    "process wrote above, or lower build.workers. Then run it again"
)
MEMORY = (
    "a worker process ended without an answer, most likely for want of memory: lower build.workers or build.memory "
    "and run the same command again (finished units are kept)"
)


class Executor(Protocol):
    """Runs the units of one build."""

    def run(self, units: Sequence[Unit], on_done: OnDone) -> None:
        """Perform independent units and report each as it is finished.

        Args:
            units: In the order in which they are best begun.
            on_done: Called in the caller's thread, once for each unit.

        Raises:
            BuildFailed: A unit failed. The finished ones are kept.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class InProcess:
    """Runs units one after another in this process."""

    def __init__(self, plan: BuildPlan, task: Task | None = None, model: MemberModel | None = None) -> None:
        self._worker = Worker(plan, task, model)
        self._threads = plan.numerics.threads
        self._threads_before = torch.get_num_threads()

    @property
    def writing(self) -> float:
        """Seconds that writing the outputs has taken so far."""
        return self._worker.workspace.writing

    def run(self, units: Sequence[Unit], on_done: OnDone) -> None:
        """Perform the units in their order."""
        for unit in units:
            on_done(unit, self._worker.perform(unit))

    def __enter__(self) -> Self:
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        torch.set_num_threads(self._threads_before)


class Processes:
    """Runs units in several processes of this machine.

    Each loads the Task from its source once.
    """

    def __init__(self, plan: BuildPlan, workers: int) -> None:
        self._plan, self._folder = plan, plan.work / HANDOVER
        self._pool = spawned(workers, _start_worker, (self._folder,))

    def run(self, units: Sequence[Unit], on_done: OnDone) -> None:
        """Perform the units wherever there is room."""
        running: dict[Future[Receipt], Unit] = {}
        try:
            with interrupts_held():
                for unit in units:
                    running[self._pool.submit(_perform, unit)] = unit
            for future in as_completed(running):
                on_done(running[future], future.result())
        except BrokenProcessPool as error:
            raise BuildFailed(MEMORY if any_started(self._folder) else UNSTARTED) from error
        finally:
            for future in running:
                future.cancel()

    def __enter__(self) -> Self:
        write_plan(self._plan, self._folder)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)


_workers: list[Worker | BuildFailed] = []
"""The one worker of a spawned process, or why there is none. A pool's processes have no other place for it."""


def _start_worker(folder: Path) -> None:
    try:
        plan = read_plan(folder)
        _check_libraries(plan)
    except (
        Exception
    ) as error:  # told by the first unit: a start that fails is reported by its traceback alone
        reason = f"a worker process could not start: {type(error).__name__}: {error}"
        _workers.append(error if isinstance(error, BuildFailed) else BuildFailed(reason))
    else:
        torch.set_num_threads(plan.numerics.threads)
        _workers.append(Worker(plan))


def _check_libraries(plan: BuildPlan) -> None:
    """Refuse libraries other than the plan was made with: they were changed during the build.

    Raises:
        BuildFailed: Their versions differ.
    """
    changed = sorted(name for name, version in libraries().items() if plan.libraries.get(name) != version)
    if changed:
        raise BuildFailed(
            f"the versions of {', '.join(changed)} changed during the build: run the same command again, which "
            f"starts over with the libraries that are installed now"
        )


def _perform(unit: Unit) -> Receipt:
    worker = _workers[0]
    if isinstance(worker, BuildFailed):
        raise worker
    return worker.perform(unit)
