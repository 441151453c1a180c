"""Answers that take long, as streams of events: progress, then the answer or the problem.

Server-sent events (WHATWG HTML, 9.2): each is `event: NAME`, a line `data: JSON` and an empty line. A comment line comes
where nothing else does, so that nobody between takes the connection for dead.

FastAPI writes the events. Its `EventSourceResponse` does not serve here: it makes every answer of a route a stream, sends
the head before the first event is there (a refusal could not have its own status), and pings every 15 seconds. One route
answers as JSON or as events here, by the `Accept` header.
"""

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
from byline_service.http.problems import explained, problem
from byline_service.state import AppState

EVENTS = "text/event-stream"
INTERVAL = 0.25
"""Seconds between two looks at what is computed, and so between two events at least."""
KEEP_ALIVE = 10.0
"""Seconds without an event after which a comment is sent."""


def wants_events(request: Request) -> bool:
    """Whether the client asked for a stream by its `Accept` header."""
    accepted = request.headers.get("accept", "").split(",")
    return any(each.partition(";")[0].strip().lower() == EVENTS for each in accepted)


class EventStream(Response):
    """Answers with events. What fails before the first one is answered as it would be without them.

    Args:
        request: What is answered.
        answer: Makes the answer's JSON, looked on by what it is given.
    """

    def __init__(self, request: Request, answer: Callable[[ProgressListener], Awaitable[str]]) -> None:
        super().__init__(media_type=EVENTS, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._request, self._answer = request, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        watch = StreamWatch(self._request.app.state.service, self.raw_headers, send)
        try:
            name, data = "answer", await self._answer(watch)
        except (ClientGoneError, ClientDisconnect):
            if not watch.begun:
                await Response(status_code=499)(scope, receive, send)
            return
        except Exception as error:
            if not watch.begun:
                raise
            request_id = scope.get("state", {}).get("request_id")
            name, data = "problem", problem(*explained(error), request_id).model_dump_json(exclude_none=True)
        await watch.send(format_sse_event(event=name, data_str=data), more=False)


class StreamWatch:
    """Sends what it sees.

    Args:
        service: Knows the queue, and whether it is shutting down.
        headers: Of the response, which begins with the first look.
        send: Takes the response's messages.
    """

    interval = INTERVAL

    def __init__(self, service: AppState, headers: list[tuple[bytes, bytes]], send: Send) -> None:
        self._service, self._headers, self._send = service, headers, send
        self._started = self._sent = time.monotonic()
        self._clock = StageClock()
        self._last: tuple[object, ...] | None = None
        self._closing: float | None = None
        self.begun = False

    async def look(self, jobs: Sequence[Job]) -> None:
        """Send an event if something changed.

        Raises:
            Overloaded: The service has been shutting down for as long as any other request may take.
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
        """Send a part of the stream, after its head."""
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
    """Estimates what is left of a stage from the time that it has taken."""

    def __init__(self) -> None:
        self._stage, self._began = "", 0.0

    def left(self, step: Step, now: float) -> float | None:
        """Seconds that the rest of a stage takes at the pace so far; None where that is not known."""
        if step.stage != self._stage:
            self._stage, self._began = step.stage, now
        if not step.fraction:
            return None
        return (now - self._began) * (1 - step.fraction) / step.fraction


def progress_of(service: AppState, jobs: Sequence[Job], clock: StageClock, seconds: float) -> Progress:
    """Describe how far a request is.

    Args:
        service: Knows the queue.
        jobs: The request's questions.
        clock: Of this request.
        seconds: Since the request came.
    """
    answered = sum(job.answer.done() for job in jobs)
    # The jobs of a batch are begun in their order: the last one that was says what is done now.
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
