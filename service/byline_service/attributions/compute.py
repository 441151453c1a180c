"""The one thread that owns torch and FAISS, and the queue before it.

Both libraries keep thread pools of their own: called from many threads they start many times more
threads than there are cores, so everything that computes runs here. Whatever waits for one index
when the thread is free is answered in one batch, up to a budget; nothing waits for one to fill.
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
    """Calls functions in an event loop's thread, in the order in which they were posted.

    Args:
        loop: The event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._posted: deque[Callable[[], None]] = deque()
        self._woken = False

    def post(self, function: Callable[[], None]) -> None:
        """Have a function called soon; from any thread. Dropped where the loop has ended."""
        self._posted.append(function)
        if self._woken:
            return
        self._woken = True
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._arrive)

    def _arrive(self) -> None:
        # First, so that whoever posts after the last look below wakes the loop again.
        self._woken = False
        while self._posted:
            self._posted.popleft()()


@dataclass(eq=False, kw_only=True)
class Job:
    """One question that waits for its answer."""

    attributor: Attributor
    question: CheckedRequest
    deadline: float
    """In `time.monotonic` seconds: past it, nobody waits any more."""
    answer: "Future[Answer]" = field(default_factory=Future)
    submitted: float = field(default_factory=time.monotonic)
    step: Step | None = None
    """Where its computation is; None before it is begun. The compute thread writes it."""
    wanted: bool = True
    """Whether somebody waits for the answer."""

    def give_up(self) -> None:
        """Nobody waits any more: what is not begun is dropped, what is ends at its next counted step."""
        self.wanted = False
        self.answer.cancel()


_Call = tuple[Callable[[], None], "Future[None]"]


class ComputeThread:
    """Answers jobs, several at a time.

    Args:
        batch_cost: Most queries that are computed together.
        threads: Threads of the libraries; None leaves their own number.
        metrics: Where batches are counted.
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
        """Recent seconds of compute for one query: a running mean."""
        return self._seconds_each

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is queued, then end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, *jobs: Job) -> None:
        """Queue jobs, together; an `answer` is set when done, and may be cancelled until it is begun."""
        with self._changed:
            self._jobs.extend(jobs)
            self._changed.notify()

    def ahead(self, job: Job) -> int:
        """Queries that are computed, or wait, before a job's turn; 0 once it is begun."""
        with self._changed:
            waiting = [each.question.cost for each in takewhile(lambda each: each is not job, self._jobs)]
            begun = len(waiting) == len(self._jobs)
            return 0 if begun else sum(waiting) + self._computing

    def call(self, function: Callable[[], None]) -> "Future[None]":
        """Run a function in the thread, before the jobs that wait."""
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
        """Run what waits; False once there is nothing more to come.

        A function of its own, so that a thread that waits keeps nothing of what it ran alive.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._calls or self._stopping)
            if not self._jobs and not self._calls:
                return False
            call = self._calls.popleft() if self._calls else None
            batch = [] if call else self._take()
        if call:
            _run_call(*call)
        else:
            self._run(batch)
            self._computing = 0
        return True

    def _take(self) -> list[Job]:
        """Take the oldest job, and all others for its index that fit the budget."""
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
        wanted = [job for job in batch if job.answer.set_running_or_notify_cancel()]
        live = [job for job in wanted if job.deadline > begun]
        for job in wanted:
            if job.deadline <= begun:
                job.answer.set_exception(DeadlineExceeded("the deadline passed before the query's turn came"))
        self._metrics.batch(batch[0].attributor.name, len(live), len(batch) - len(live))
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
    """Answer a batch as long as somebody waits for one of its answers."""

    def report(step: Step) -> None:
        if not any(job.wanted for job in jobs):
            raise Cancelled
        for job in jobs:
            job.step = step

    try:
        with report_to(report):
            return _answers(jobs)
    except Cancelled:
        return [DeadlineExceeded("nobody waited for the answer any more")] * len(jobs)


def _answers(jobs: Sequence[Job]) -> Sequence[Answer | Exception]:
    """Answer a batch; where it fails as a whole, each job alone: one must not fail the others."""
    try:
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
