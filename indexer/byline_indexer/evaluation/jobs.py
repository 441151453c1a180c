"""Run training jobs: each writes one file, named by everything that determines it, and never runs twice."""

from collections.abc import Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from byline.digests import require_digest
from byline.errors import BuildFailed
from byline.index.durable import sweep_abandoned
from byline.loading.task_file import load_task
from byline.task import Task
from byline_indexer.processes import interrupts_held, spawned
from byline_indexer.progress import Observer


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Settings that all jobs of an evaluation share."""

    task: str
    """`/absolute/file.py:function` or `package.module:function`."""
    source: str
    """Digest of the Task's source. Every process refuses another one, since retraining takes hours."""
    content: str
    """Digest of the Task's source, its training set and its evaluation set."""
    folder: Path
    """Folder of the files of finished jobs."""
    batch_rows: int
    """Items that are evaluated together."""
    threads: int
    """Threads of each process."""
    device: str
    """Device on which trained models are evaluated."""


class Job(Protocol):
    """One training."""

    def finished(self, setting: Setting) -> bool:
        """Tell whether the file is there and whole."""

    def perform(self, setting: Setting, task: Task) -> None:
        """Train, and write the file atomically."""


@dataclass(frozen=True)
class Workforce:
    """Runs jobs, in this process or in several."""

    setting: Setting
    task: Task
    workers: int
    observer: Observer

    def do(self, jobs: Sequence[Job], phase: str = "retrain") -> None:
        """Do the jobs that are not finished, in this process or in several.

        Args:
            jobs: Independent of one another.
            phase: What people are shown.

        Raises:
            InvalidTask: `Task.train` failed, or what it returned does not fit the model.
            BuildFailed: A process ended without an answer. Finished jobs are kept.
        """
        self.setting.folder.mkdir(parents=True, exist_ok=True)
        sweep_abandoned(self.setting.folder)
        missing = [job for job in jobs if not job.finished(self.setting)]
        if missing and len(missing) < len(jobs):
            self.observer.message(f"{len(jobs) - len(missing)} of {len(jobs)} models were trained before")
        if not missing:
            return
        self.observer.progress(phase, 0, len(missing))
        if self.workers == 1:
            self._here(missing, phase)
        else:
            self._spawned(missing, phase)

    def _here(self, jobs: Sequence[Job], phase: str) -> None:
        threads = torch.get_num_threads()
        torch.set_num_threads(self.setting.threads)
        try:
            for done, job in enumerate(jobs, start=1):
                job.perform(self.setting, self.task)
                self.observer.progress(phase, done, len(jobs))
        finally:
            torch.set_num_threads(threads)

    def _spawned(self, jobs: Sequence[Job], phase: str) -> None:
        workers = min(self.workers, len(jobs))
        with spawned(workers, _start_worker, (self.setting,)) as pool:
            running: list[Future[None]] = []
            try:
                with interrupts_held():
                    for job in jobs:
                        running.append(pool.submit(_perform, job))  # noqa: PERF401 - what is submitted is cancelled
                for done, future in enumerate(as_completed(running), start=1):
                    future.result()
                    self.observer.progress(phase, done, len(jobs))
            except BrokenProcessPool as error:
                raise BuildFailed(
                    "a training process ended without an answer, most likely for want of memory: lower --workers "
                    "and run the same command again (models that were trained are kept). A script of your own calls "
                    "this below `if __name__ == '__main__':`"
                ) from error
            finally:
                for future in running:
                    future.cancel()


_worker: list[tuple[Setting, Task]] = []
"""The setting of a spawned process. A pool's processes have no other place for it."""


def _start_worker(setting: Setting) -> None:
    torch.set_num_threads(setting.threads)
    loaded = load_task(setting.task)
    require_digest(f"the Task's source, {setting.task},", loaded.digest, setting.source)
    _worker.append((setting, loaded.task))


def _perform(job: Job) -> None:
    job.perform(*_worker[0])
