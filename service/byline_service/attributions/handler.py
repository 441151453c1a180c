"""One request's way through the service: admit, read, check, compute, answer."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from fastapi import Request
from starlette.types import Receive

from byline.api.answer import Answer
from byline.attribution.attributor import Attributor
from byline.attribution.queries import CheckedRequest
from byline.errors import DeadlineExceeded
from byline_service.accounts.permissions import caller_of, charge
from byline_service.attributions.admission import AdmissionTicket
from byline_service.attributions.compute import Job, LoopCallbacks
from byline_service.attributions.requests import ParsedRequest
from byline_service.http.bodies import read_body
from byline_service.state import AppState

LARGE_BODY = 64 << 10
"""Bytes from which a body is parsed in a thread of its own, so as not to hold up other requests."""


LARGE_ANSWER = 200
"""Entries from which an answer is written in a thread of its own, for the same reason."""


class ClientGoneError(Exception):
    """The client left before its answer was ready."""


class ProgressListener(Protocol):
    """Looks on while an answer is made."""

    interval: float
    """Seconds between two looks."""

    async def look(self, jobs: Sequence[Job]) -> None:
        """See how far the jobs are; called once they are queued, and again and again until they are done."""


async def ask(
    request: Request,
    name: str,
    parse: Callable[[bytes], ParsedRequest],
    watch: ProgressListener | None = None,
) -> str:
    """Answer one HTTP request.

    Args:
        request: Its body is read once a place inside is taken.
        name: The index.
        parse: Turns the body into questions; must be safe to run in any thread.
        watch: Looks on; a request that is watched may take `stream_seconds`.

    Returns:
        The JSON that answers it.

    Raises:
        ClientGoneError: The client left.
        DeadlineExceeded: The time was up.
        QuotaExceeded: The key's queries of this minute are used up.
    """
    service: AppState = request.app.state.service
    settings = service.settings
    seconds = settings.deadline_seconds if watch is None else settings.stream_seconds
    begun = time.monotonic()
    service.versions.pin(request.scope, name)  # before the body is read: who names no index need not send it
    with service.admission.place(_declared_bytes(request)) as place:
        body = await read_body(request, settings.deadline_seconds)
        asking = AttributionHandler(request, name, partial(parse, body), seconds, begun)
        requested, answers = await asking.answers(place, large=len(body) > LARGE_BODY, watch=watch)
    write = partial(_written, requested, answers)
    return await asyncio.to_thread(write) if requested.entries > LARGE_ANSWER else write()


async def ask_once_read(request: Request, name: str, parse: Callable[[], ParsedRequest]) -> list[Answer]:
    """Answer a request whose body was read before.

    Args:
        request: The request.
        name: The index.
        parse: Makes the questions; must be safe to run in any thread.

    Returns:
        One answer a question.

    Raises:
        ClientGoneError: The client left.
        DeadlineExceeded: The time was up.
    """
    service: AppState = request.app.state.service
    seconds = service.settings.deadline_seconds
    asking = AttributionHandler(request, name, parse, seconds, time.monotonic())
    with service.admission.place(_declared_bytes(request)) as place:
        _, answers = await asking.answers(place, large=_declared_bytes(request) > LARGE_BODY)
    return answers


@dataclass(frozen=True)
class AttributionHandler:
    """A request on its way to the compute thread."""

    request: Request
    name: str
    parse: Callable[[], ParsedRequest]
    seconds: float
    """How long it may take."""
    begun: float
    """When it began, in `time.monotonic` seconds."""

    async def answers(
        self, place: AdmissionTicket, *, large: bool, watch: ProgressListener | None = None
    ) -> tuple[ParsedRequest, list[Answer]]:
        """Check, queue and await the questions.

        Args:
            place: Inside the service.
            large: Whether parsing takes long enough for a thread of its own.
            watch: Looks on.

        Returns:
            What was asked, and one answer a question.

        Raises:
            ClientGoneError: The client left.
            DeadlineExceeded: The time was up.
        """
        service: AppState = self.request.app.state.service
        attributor = service.versions.pin(self.request.scope, self.name).attributor
        check = partial(_checked, attributor, self.parse)
        requested, questions = await asyncio.to_thread(check) if large else check()
        cost = sum(question.cost for question in questions)
        await charge(self.request, "queries", cost)
        place.take(cost)
        jobs = [Job(attributor=attributor, question=q, deadline=self.begun + self.seconds) for q in questions]
        answers = await _computed(service, jobs, self.request.receive, watch)
        if answers is None:
            raise DeadlineExceeded(
                f"expected an answer within {self.seconds:g} seconds: ask for less at a time"
            )
        if service.tracing is not None:
            service.tracing.record_stages(answers, [job.submitted for job in jobs])
        for answer in answers:
            service.metrics.answer(attributor.name, answer.timings)
        milliseconds = (time.monotonic() - self.begun) * 1e3
        service.usage.add(caller_of(self.request).key_id, attributor.name, len(questions), milliseconds)
        return requested, answers


def _written(requested: ParsedRequest, answers: list[Answer]) -> str:
    return requested.document(answers).model_dump_json()


def _checked(
    attributor: Attributor, parse: Callable[[], ParsedRequest]
) -> tuple[ParsedRequest, list[CheckedRequest]]:
    requested = parse()
    return requested, [attributor.check(each) for each in requested.requests]


def _declared_bytes(request: Request) -> int:
    """Bytes to set aside: what the client declared, or the most it may send."""
    limit: int = request.scope["state"]["body_limit"]
    return min(limit, int(request.headers.get("content-length", limit)))


async def _computed(
    service: AppState, jobs: Sequence[Job], receive: Receive, watch: ProgressListener | None
) -> list[Answer] | None:
    """Queue jobs and wait for their answers, as long as somebody wants them; None once the time is up."""
    over = _Completion(service.callbacks, jobs)
    late = asyncio.get_running_loop().call_later(max(0.0, jobs[0].deadline - time.monotonic()), over.end)
    service.compute.submit(*jobs)
    gone = asyncio.ensure_future(_disconnected(receive))
    gone.add_done_callback(over.end)
    try:
        if watch is not None:
            while not over.ended.done():
                await watch.look(jobs)
                await asyncio.wait((over.ended,), timeout=watch.interval)
        await over.ended
        if over.answered:
            return _results(jobs)
        if gone.done():
            raise ClientGoneError
        return None
    finally:
        late.cancel()
        gone.cancel()
        for job in jobs:
            job.give_up()


def _results(jobs: Sequence[Job]) -> list[Answer]:
    """The answers; raises what the first job that failed met, though others may not be done."""
    for job in jobs:
        if job.answer.done() and (error := job.answer.exception()):
            raise error
    return [job.answer.result() for job in jobs]


class _Completion:
    """Ends the wait for jobs in the event loop, once all have their answers or the first has failed."""

    def __init__(self, arrivals: LoopCallbacks, jobs: Sequence[Job]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answered = False
        self._missing = len(jobs)
        for job in jobs:
            job.answer.add_done_callback(lambda answer: arrivals.post(partial(self._count, answer)))

    def end(self, _: object = None) -> None:
        """Wake who waits."""
        if not self.ended.done():
            self.ended.set_result(None)

    def _count(self, answer: "Future[Answer]") -> None:
        self._missing -= 1
        if not answer.cancelled() and (answer.exception() or not self._missing):
            self.answered = True
            self.end()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
