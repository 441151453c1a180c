"""The seam between what is to be done and what does it: run units, report receipts.

An executor knows nothing of stages: it gets units that do not depend on one another and runs them in any
order, at least once each. Anything that can call `Worker.perform` somewhere can be one.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Protocol, Self

import torch

from byline.errors import BuildFailed
from byline.task import Task
from indexer.plan import BuildPlan
from indexer.processes import interrupts_held, spawned
from indexer.units import Unit
from indexer.worker import Worker
from indexer.workspace import Receipt

OnDone = Callable[[Unit, Receipt], None]


class Executor(Protocol):
    """Runs the units of one build."""

    def run(self, units: Sequence[Unit], on_done: OnDone) -> None:
        """Perform independent units and report each as it is finished.

        Args:
            units: In the order in which they are best begun.
            on_done: Called in the caller's thread, once for each unit.

        Raises:
            BuildFailed: A unit failed; the finished ones are kept.
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

    def __init__(self, plan: BuildPlan, task: Task | None = None) -> None:
        self._worker = Worker(plan, task)
        self._threads = plan.numerics.threads
        self._threads_before = torch.get_num_threads()

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
        self._pool = spawned(workers, _start_worker, (plan,))

    def run(self, units: Sequence[Unit], on_done: OnDone) -> None:
        """Perform the units wherever there is room."""
        with interrupts_held():
            running: dict[Future[Receipt], Unit] = {self._pool.submit(_perform, unit): unit for unit in units}
        try:
            for future in as_completed(running):
                on_done(running[future], future.result())
        except BrokenProcessPool as error:
            raise BuildFailed(
                "a worker process ended without an answer, most likely for want of memory: lower build.workers "
                "or build.batch_rows and run the same command again (finished units are kept)"
            ) from error
        finally:
            for future in running:
                future.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


_workers: list[Worker] = []
"""The one worker of a spawned process; a pool's processes have no other place for it."""


def _start_worker(plan: BuildPlan) -> None:
    torch.set_num_threads(plan.numerics.threads)
    _workers.append(Worker(plan))


def _perform(unit: Unit) -> Receipt:
    return _workers[0].perform(unit)
