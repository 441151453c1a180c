"""The one thread that owns torch and FAISS, and its queue.

Both libraries keep thread pools of their own. Called from several threads, they would start many times more threads than
there are cores, so everything that computes runs here. All jobs that wait for one index when the thread is free are
answered in one batch, up to a budget. No job waits for a batch to fill.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import takewhile

import torch

from byline.api.answer import Answer
from byline.attribution.attributor import Attributor
from byline.attribution.queries import CheckedRequest
from byline.errors import DeadlineExceeded
from byline.index.faiss_file import set_threads
from byline.progress import Cancelled, Step, report_to
from byline_service.observability.metrics import Metrics


class LoopCallbacks:
    """Calls functions in an event loop's thread, in the order of posting.

    `call_soon_threadsafe` writes to a pipe and releases the interpreter's lock each time. The compute thread would then
    wait for the lock after every answer of a batch, so functions that are posted together wake the loop once.

    Args:
        loop: The event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._posted: deque[Callable[[], None]] = deque()
        self._woken = False

    def post(self, function: Callable[[], None]) -> None:
        """Post a function from any thread. It is dropped if the loop has ended."""
        self._posted.append(function)
        if self._woken:
            return
        self._woken = True
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._run_posted)

    def _run_posted(self) -> None:
        # Cleared first: a function that is posted after the last check below must wake the loop again.
        self._woken = False
        while self._posted:
            self._posted.popleft()()


@dataclass(eq=False, kw_only=True)
class Job:
    """One checked request that waits for its answer."""

    attributor: Attributor
    question: CheckedRequest
    deadline: float
    """Time in `time.monotonic` seconds after which the answer is of no use."""
    require_whole: Callable[[], None] = lambda: None
    """Raises `CorruptIndex` if a mapped file of the index was cut off since the request began."""
    answer: "Future[Answer]" = field(default_factory=Future)
    submitted: float = field(default_factory=time.monotonic)
    step: Step | None = None
    """Progress of the computation. None before it starts. The compute thread writes it."""
    awaited: bool = True
    """Whether a client still waits for the answer."""

    def abandon(self) -> None:
        """Drop the job if it has not started. Stop it at its next counted step if it has."""
        self.awaited = False
        self.answer.cancel()


_Call = tuple[Callable[[], None], "Future[None]"]


class ComputeThread:
    """Answers jobs in batches.

    Args:
        batch_cost: Most queries that are computed together.
        threads: Threads of the libraries. None leaves their default.
        metrics: The counters of batches.
    """

    def __init__(self, *, batch_cost: int, threads: int | None, metrics: Metrics) -> None:
        self._batch_cost = batch_cost
        self._threads = threads
        self._metrics = metrics
        self._jobs: deque[Job] = deque()
        self._calls: deque[_Call] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._computing = 0
        self._seconds_each = 0.05
        self._thread = threading.Thread(target=self._work, name="compute", daemon=True)

    @property
    def seconds_each(self) -> float:
        """Return the running mean of compute seconds per query."""
        return self._seconds_each

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the queued jobs, then end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, *jobs: Job) -> None:
        """Queue jobs together. Each `answer` future can be cancelled until its job starts."""
        with self._changed:
            self._jobs.extend(jobs)
            self._changed.notify()

    def ahead(self, job: Job) -> int:
        """Return the number of queries before a job: computing or queued; 0 once the job has started."""
        with self._changed:
            waiting = [each.question.cost for each in takewhile(lambda each: each is not job, self._jobs)]
            begun = len(waiting) == len(self._jobs)
            return 0 if begun else sum(waiting) + self._computing

    def call(self, function: Callable[[], None]) -> "Future[None]":
        """Run a function in the thread, before the queued jobs."""
        done: Future[None] = Future()
        with self._changed:
            self._calls.append((function, done))
            self._changed.notify()
        return done

    def _work(self) -> None:
        if self._threads is not None:
            torch.set_num_threads(self._threads)
            set_threads(self._threads)
        while self._step():
            pass

    def _step(self) -> bool:
        """Run the next call or batch. Return False once the queue is empty and the thread should end.

        It is a function of its own so that a waiting thread keeps no reference to the previous batch.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._calls or self._stopping)
            if not self._jobs and not self._calls:
                return False
            call = self._calls.popleft() if self._calls else None
            batch = [] if call else self._next_batch()
        if call:
            _run_call(*call)
        else:
            self._run(batch)
            self._computing = 0
        return True

    def _next_batch(self) -> list[Job]:
        """Take the oldest job, and every other job of its index that fits the budget."""
        batch, left, cost = [self._jobs.popleft()], deque[Job](), 0
        cost = batch[0].question.batch_cost
        for job in self._jobs:
            same_index = job.attributor is batch[0].attributor
            if same_index and cost + job.question.batch_cost <= self._batch_cost:
                batch.append(job)
                cost += job.question.batch_cost
            else:
                left.append(job)
        self._jobs, self._computing = left, sum(job.question.cost for job in batch)
        return batch

    def _run(self, batch: Sequence[Job]) -> None:
        begun = time.monotonic()
        taken = [job for job in batch if job.answer.set_running_or_notify_cancel()]
        live = [job for job in taken if job.deadline > begun]
        for job in taken:
            if job.deadline <= begun:
                job.answer.set_exception(DeadlineExceeded("the deadline passed before the query's turn"))
        self._metrics.count_batch(batch[0].attributor.name, len(live), len(batch) - len(live))
        if not live:
            return
        for job, outcome in zip(live, _outcomes(live), strict=True):
            if isinstance(outcome, Exception):
                job.answer.set_exception(outcome)
            else:
                job.answer.set_result(_with_queue_time(outcome, begun - job.submitted))
        each = (time.monotonic() - begun) / sum(job.question.cost for job in live)
        self._seconds_each += 0.2 * (each - self._seconds_each)


def _outcomes(jobs: Sequence[Job]) -> Sequence[Answer | Exception]:
    """Answer a batch. Stop once no client waits for any of its answers."""

    def report(step: Step) -> None:
        if not any(job.awaited for job in jobs):
            raise Cancelled
        for job in jobs:
            job.step = step

    try:
        with report_to(report):
            return _answers(jobs)
    except Cancelled:
        return [DeadlineExceeded("the client left before the answer was computed")] * len(jobs)


def _answers(jobs: Sequence[Job]) -> Sequence[Answer | Exception]:
    """Answer a batch. If the batch fails, answer each job alone, so that one failure does not affect the others."""
    try:
        jobs[0].require_whole()
        return jobs[0].attributor.answer([job.question for job in jobs])
    except Exception as error:
        if len(jobs) == 1:
            return [error]
        return [_answers([job])[0] for job in jobs]


def _with_queue_time(answer: Answer, seconds: float) -> Answer:
    timings = answer.timings.model_copy(update={"queue": round(seconds * 1e3, 3)})
    return answer.model_copy(update={"timings": timings})


def _run_call(function: Callable[[], None], done: "Future[None]") -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        function()
    except Exception as error:
        done.set_exception(error)
    else:
        done.set_result(None)
