"""The handling of one attribution request: admission, body, checks, computation and answer."""

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
from byline.attribution.request import AttributionRequest
from byline.attribution.shown_images import with_image_paths
from byline.errors import DeadlineExceeded, InvalidQuery
from byline_service.accounts.permissions import caller_of, charge
from byline_service.attributions.admission import AdmissionTicket
from byline_service.attributions.compute import Job, LoopCallbacks
from byline_service.attributions.receipts import with_receipt
from byline_service.attributions.requests import ParsedRequest
from byline_service.attributions.shown_tokens import shown_answer
from byline_service.http.bodies import read_body
from byline_service.state import AppState

LARGE_BODY = 64 << 10
"""Bytes from which a body is parsed in a worker thread, so that the event loop is not blocked."""


LARGE_ANSWER = 200
"""Entries from which an answer is serialized in a worker thread, so that the event loop is not blocked."""


class ClientGoneError(Exception):
    """The client disconnected before its answer was ready."""


class ProgressListener(Protocol):
    """Receives the progress of a request while it is computed."""

    interval: float
    """Seconds between two reports."""

    async def report(self, jobs: Sequence[Job]) -> None:
        """Report the state of the jobs; called after they are queued, then periodically until they are done."""


async def handle(
    request: Request,
    name: str,
    parse: Callable[[bytes], ParsedRequest],
    listener: ProgressListener | None = None,
) -> str:
    """Answer one attribution request.

    Args:
        request: The request. Its body is read after admission.
        name: The index or alias.
        parse: Parses the body. It must be thread-safe.
        listener: Receives the progress. The request may then take `stream_seconds`.

    Returns:
        The answer as JSON.

    Raises:
        ClientGoneError: The client disconnected.
        DeadlineExceeded: The deadline passed.
        QuotaExceeded: The key's quota of queries is used up for this minute.
    """
    service: AppState = request.app.state.service
    settings = service.settings
    seconds = settings.deadline_seconds if listener is None else settings.stream_seconds
    begun = time.monotonic()
    service.versions.pin(
        request.scope, name
    )  # before the body is read: a client with a wrong name need not send it
    with service.admission.place(_declared_bytes(request)) as ticket:
        body = await read_body(request, settings.deadline_seconds)
        handler = AttributionHandler(request, name, partial(parse, body), seconds, begun)
        parsed, answers = await handler.answers(ticket, large=len(body) > LARGE_BODY, listener=listener)
    attributor = service.versions.pin(request.scope, name).attributor
    sign = partial(with_receipt, attributor, key=service.keyring.signing)
    write = partial(_written, parsed, answers, sign)
    large = parsed.entries > LARGE_ANSWER or any(each.shares for each in parsed.requests)
    return await asyncio.to_thread(write) if large else write()


async def handle_read_body(
    request: Request, name: str, parse: Callable[[], ParsedRequest]
) -> tuple[ParsedRequest, list[Answer]]:
    """Answer a request whose body was read already.

    Args:
        request: The request.
        name: The index or alias.
        parse: Makes the attribution requests. It must be thread-safe.

    Returns:
        The parsed request, and one answer per attribution request.

    Raises:
        ClientGoneError: The client disconnected.
        DeadlineExceeded: The deadline passed.
    """
    service: AppState = request.app.state.service
    seconds = service.settings.deadline_seconds
    handler = AttributionHandler(request, name, parse, seconds, time.monotonic())
    with service.admission.place(_declared_bytes(request)) as ticket:
        return await handler.answers(ticket, large=_declared_bytes(request) > LARGE_BODY)


@dataclass(frozen=True)
class AttributionHandler:
    """One HTTP request and its deadline."""

    request: Request
    name: str
    parse: Callable[[], ParsedRequest]
    seconds: float
    """Seconds that the request may take."""
    begun: float
    """Start of the request, in `time.monotonic` seconds."""

    async def answers(
        self, ticket: AdmissionTicket, *, large: bool, listener: ProgressListener | None = None
    ) -> tuple[ParsedRequest, list[Answer]]:
        """Check, queue and await the attribution requests.

        Args:
            ticket: The admission ticket.
            large: Whether the body is parsed in a worker thread.
            listener: Receives the progress.

        Returns:
            The parsed request, and one answer per attribution request.

        Raises:
            ClientGoneError: The client disconnected.
            DeadlineExceeded: The deadline passed.
        """
        service: AppState = self.request.app.state.service
        version = service.versions.pin(self.request.scope, self.name)
        attributor, until = version.attributor, self.begun + self.seconds
        check = partial(_checked, attributor, self.parse)
        parsed, questions = await asyncio.to_thread(check) if large else check()
        cost = sum(question.cost for question in questions)
        await charge(self.request, "queries", cost)
        ticket.take(cost)
        jobs = [
            Job(attributor=attributor, question=each, deadline=until, require_whole=version.require_whole)
            for each in questions
        ]
        answers = await _computed(service, jobs, self.request.receive, listener)
        if answers is None:
            raise DeadlineExceeded(
                f"expected an answer within {self.seconds:g} seconds: ask for less at a time"
            )
        if service.tracing is not None:
            service.tracing.record_stages(answers, [job.submitted for job in jobs])
        for answer in answers:
            service.metrics.count_answer(attributor.name, answer.timings)
        milliseconds = (time.monotonic() - self.begun) * 1e3
        service.usage.add(caller_of(self.request).key_id, attributor.name, len(questions), milliseconds)
        examples = attributor.index.examples
        withheld = await service.consents.withheld(attributor.name, attributor.index.version)
        listed = [withheld.hidden(shown_answer(answer)) for answer in answers]
        return parsed, [with_image_paths(answer, examples) for answer in listed]


def _written(
    parsed: ParsedRequest, answers: list[Answer], sign: Callable[[AttributionRequest, Answer], Answer]
) -> str:
    signed = [sign(request, answer) for request, answer in zip(parsed.requests, answers, strict=True)]
    return parsed.document(signed).model_dump_json()


def _checked(
    attributor: Attributor, parse: Callable[[], ParsedRequest]
) -> tuple[ParsedRequest, list[CheckedRequest]]:
    parsed, checked = parse(), list[CheckedRequest]()
    for number, request in enumerate(parsed.requests):
        try:
            checked.append(attributor.check(request))
        except InvalidQuery as error:
            if parsed.several:
                error.faults = tuple(each.under("/query", f"/queries/{number}") for each in error.faults)
            raise
    return parsed, checked


def _declared_bytes(request: Request) -> int:
    """Return the bytes to reserve: the declared length of the body, or its limit."""
    limit: int = request.scope["state"]["body_limit"]
    return min(limit, int(request.headers.get("content-length", limit)))


async def _computed(
    service: AppState, jobs: Sequence[Job], receive: Receive, listener: ProgressListener | None
) -> list[Answer] | None:
    """Queue jobs and await their answers while the client is connected. None once the deadline has passed."""
    over = _Completion(service.callbacks, jobs)
    late = asyncio.get_running_loop().call_later(max(0.0, jobs[0].deadline - time.monotonic()), over.end)
    service.compute.submit(*jobs)
    gone = asyncio.ensure_future(_disconnected(receive))
    gone.add_done_callback(over.end)
    try:
        if listener is not None:
            while not over.ended.done():
                await listener.report(jobs)
                await asyncio.wait((over.ended,), timeout=listener.interval)
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
            job.abandon()


def _results(jobs: Sequence[Job]) -> list[Answer]:
    """Return the answers; raise the error of the first failed job, even if other jobs are not done."""
    for job in jobs:
        if job.answer.done() and (error := job.answer.exception()):
            raise error
    return [job.answer.result() for job in jobs]


class _Completion:
    """Ends the wait for jobs, once all have answers or the first one has failed."""

    def __init__(self, callbacks: LoopCallbacks, jobs: Sequence[Job]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answered = False
        self._missing = len(jobs)
        for job in jobs:
            job.answer.add_done_callback(lambda answer: callbacks.post(partial(self._count, answer)))

    def end(self, _: object = None) -> None:
        """End the wait."""
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
