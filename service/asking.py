"""One request's way through the service: admit, read, check, compute, answer."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from fastapi import Request
from starlette.types import Receive

from byline.attribution import Answer, Attributor, Question
from byline.errors import DeadlineExceeded
from service.bodies import read_body
from service.compute import Job
from service.requested import Requested
from service.served import Service

LARGE_BODY = 64 << 10
"""Bytes from which a body is parsed in a thread of its own, so as not to hold up other requests."""


LARGE_ANSWER = 200
"""Entries from which an answer is written in a thread of its own, for the same reason."""


class ClientGoneError(Exception):
    """The client left before its answer was ready."""


async def ask(request: Request, name: str, parse: Callable[[bytes], Requested]) -> str:
    """Answer one HTTP request.

    Args:
        request: Its body is read once a place inside is taken.
        name: The index.
        parse: Turns the body into questions; must be safe to run in any thread.

    Returns:
        The JSON that answers it.

    Raises:
        ClientGoneError: The client left.
        DeadlineExceeded: The time was up.
    """
    service: Service = request.app.state.service
    deadline = time.monotonic() + service.settings.deadline_seconds
    attributor = service.taken(request.scope, name).attributor
    with service.admission.place(_declared_bytes(request)) as place:
        body = await read_body(request, service.settings.deadline_seconds)
        check = partial(_checked, attributor, parse, body)
        large = len(body) > LARGE_BODY
        requested, questions = await asyncio.to_thread(check) if large else check()
        place.take(sum(question.cost for question in questions))
        jobs = [Job(attributor=attributor, question=q, deadline=deadline) for q in questions]
        answers = await _computed(service, jobs, request.receive)
    for answer in answers:
        service.metrics.answer(attributor.name, answer.timings)
    write = partial(_written, requested, answers)
    return await asyncio.to_thread(write) if requested.entries > LARGE_ANSWER else write()


def _written(requested: Requested, answers: list[Answer]) -> str:
    return requested.document(answers).model_dump_json()


def _checked(
    attributor: Attributor, parse: Callable[[bytes], Requested], body: bytes
) -> tuple[Requested, list[Question]]:
    requested = parse(body)
    return requested, [attributor.check(r, examples=requested.examples) for r in requested.requests]


def _declared_bytes(request: Request) -> int:
    """Bytes to set aside: what the client declared, or the most it may send."""
    limit: int = request.scope["state"]["body_limit"]
    return min(limit, int(request.headers.get("content-length", limit)))


async def _computed(service: Service, jobs: Sequence[Job], receive: Receive) -> list[Answer]:
    """Queue jobs and wait for their answers, as long as somebody wants them."""
    for job in jobs:
        service.compute.submit(job)
    answers = asyncio.gather(*(asyncio.wrap_future(job.answer) for job in jobs))
    # Nobody reads what comes of answers that are dropped; asyncio would log each as a mistake.
    answers.add_done_callback(lambda done: done.cancelled() or done.exception())
    gone = asyncio.ensure_future(_disconnected(receive))
    remaining = jobs[0].deadline - time.monotonic()
    try:
        waiting: set[asyncio.Future[Any]] = {answers, gone}
        await asyncio.wait(waiting, timeout=remaining, return_when=asyncio.FIRST_COMPLETED)
        if answers.done():
            return answers.result()
        if gone.done():
            raise ClientGoneError
        seconds = service.settings.deadline_seconds
        raise DeadlineExceeded(f"expected an answer within {seconds:g} seconds: ask for less at a time")
    finally:
        gone.cancel()
        for job in jobs:
            job.answer.cancel()  # at once, so that the compute thread drops what it has not begun


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
