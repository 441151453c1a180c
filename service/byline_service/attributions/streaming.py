"""Streams of server-sent events for slow answers: progress, then the answer or a problem.

The format is that of WHATWG HTML, 9.2: each event is `event: NAME`, a line `data: JSON` and an empty line. A comment is sent
when there is no event for a while, so that proxies keep the connection open.

FastAPI formats the events. Its `EventSourceResponse` does not fit: it makes every answer of a route a stream, and sends the
head before the first event, so that a refusal could not have a status of its own. A route here answers with JSON or with
events, as the `Accept` header asks.
"""

import re
import time
from collections.abc import Awaitable, Callable, Sequence

from fastapi import Request
from fastapi.sse import format_sse_event
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from byline.api.attributions import Progress
from byline.errors import Overloaded
from byline.progress import Step
from byline_service.attributions.compute import Job
from byline_service.attributions.handler import ClientGoneError, ProgressListener
from byline_service.http.problems import describe_error, parts_of, problem
from byline_service.state import AppState

EVENTS = "text/event-stream"
_ZERO = re.compile(r"q\s*=\s*0(\.0{0,3})?")
"""The weight of a media type that the client does not accept (RFC 9110, 12.4.2)."""
INTERVAL = 0.25
"""Seconds between two checks of the progress, and so the least time between two events."""
KEEP_ALIVE = 10.0
"""Seconds without an event after which a comment is sent."""


def wants_events(request: Request) -> bool:
    """Return whether the `Accept` header of a request asks for events; with a weight of 0 it refuses them."""
    for accepted in request.headers.get("accept", "").lower().split(","):
        kind, *parameters = [part.strip() for part in accepted.split(";")]
        if kind == EVENTS:
            return not any(_ZERO.fullmatch(parameter) for parameter in parameters)
    return False


class EventStream(Response):
    """A response of events. A failure before the first event is answered as it would be without events.

    Args:
        request: The request.
        answer: Makes the answer as JSON, and reports progress to the given listener.
    """

    def __init__(self, request: Request, answer: Callable[[ProgressListener], Awaitable[str]]) -> None:
        super().__init__(media_type=EVENTS, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._request, self._answer = request, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        sender = EventSender(self._request.app.state.service, self.raw_headers, send)
        try:
            name, data = "answer", await self._answer(sender)
        except (ClientGoneError, ClientDisconnect):
            if not sender.begun:
                await Response(status_code=499)(scope, receive, send)
            return
        except Exception as error:
            if not sender.begun:
                raise
            request_id = scope.get("state", {}).get("request_id")
            name, data = (
                "problem",
                problem(*describe_error(error), request_id, parts_of(error)).model_dump_json(
                    exclude_none=True
                ),
            )
        await sender.send(format_sse_event(event=name, data_str=data), more=False)


class EventSender:
    """Sends progress as events.

    Args:
        service: The state of the service: its queue, and whether it shuts down.
        headers: Headers of the response, which begins with the first report.
        send: Sends ASGI messages.
    """

    interval = INTERVAL

    def __init__(self, service: AppState, headers: list[tuple[bytes, bytes]], send: Send) -> None:
        self._service, self._headers, self._send = service, headers, send
        self._started = self._sent = time.monotonic()
        self._clock = StageClock()
        self._last: tuple[object, ...] | None = None
        self._closing: float | None = None
        self.begun = False

    async def report(self, jobs: Sequence[Job]) -> None:
        """Send an event if the progress changed.

        Raises:
            Overloaded: The service has been shutting down for longer than an ordinary request may take.
        """
        now = time.monotonic()
        self._check_open(now)
        seen = progress_of(self._service, jobs, self._clock, now - self._started)
        changed = (seen.stage, seen.ahead, seen.answered, seen.done, seen.fraction)
        if changed != self._last:
            self._last, self._sent = changed, now
            await self.send(format_sse_event(event="progress", data_str=seen.model_dump_json()))
        elif now - self._sent >= KEEP_ALIVE:
            self._sent = now
            await self.send(format_sse_event(comment="still here"))

    async def send(self, event: bytes, *, more: bool = True) -> None:
        """Send a part of the body. The first part begins the response."""
        if not self.begun:
            self.begun = True
            await self._send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await self._send({"type": "http.response.body", "body": event, "more_body": more})

    def _check_open(self, now: float) -> None:
        if self._service.admission.closed:
            self._closing = self._closing or now
            if now - self._closing > self._service.settings.deadline_seconds:
                raise Overloaded("the service is shutting down: try another replica, or again later")


class StageClock:
    """Estimates the rest of a stage from the time that it took so far."""

    def __init__(self) -> None:
        self._stage, self._began = "", 0.0

    def left(self, step: Step, now: float) -> float | None:
        """Return the seconds that the rest of a stage takes at the current pace. None if unknown."""
        if step.stage != self._stage:
            self._stage, self._began = step.stage, now
        if not step.fraction:
            return None
        return (now - self._began) * (1 - step.fraction) / step.fraction


def progress_of(service: AppState, jobs: Sequence[Job], clock: StageClock, seconds: float) -> Progress:
    """Describe the progress of a request.

    Args:
        service: The state of the service, with its queue.
        jobs: The jobs of the request.
        clock: The clock of the request's stages.
        seconds: Seconds since the request began.
    """
    answered = sum(job.answer.done() for job in jobs)
    # Jobs of a batch start in order: the last started one has the current step.
    begun = [job for job in jobs if job.step is not None]
    step = (begun[-1].step if begun else None) or Step("queue")
    ahead = 0 if begun else service.compute.ahead(jobs[0])
    if not begun:
        left: float | None = ahead * service.compute.seconds_each
    elif len(jobs) > 1:
        left = seconds * (len(jobs) - answered) / answered if answered else None
    else:
        left = clock.left(step, seconds)
    return Progress(
        stage=step.stage,
        ahead=ahead,
        answered=answered,
        questions=len(jobs),
        done=step.done,
        total=step.total,
        fraction=step.fraction,
        seconds=round(seconds, 3),
        seconds_left=None if left is None else round(left, 3),
    )
