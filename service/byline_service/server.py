"""Running the application under uvicorn, and ending well."""

import asyncio
import gc
import select
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from byline_service.http.connections import Connection, patient_for
from byline_service.settings import Settings

SWITCH_SECONDS = 0.0005
"""After how long the compute thread gives the interpreter's lock to the event loop. Each request takes the lock several
times, after every read and write: at Python's own 5 ms even refusing takes so long that refusals queue up."""


class Server(uvicorn.Server):
    """A server that drains before it stops: `/readyz` says 503, then connections are refused.

    uvicorn's own would stop listening at once and end with the signal's status; this ends with 0.

    Args:
        app: The application.
        settings: How it runs.
        announce: Called once connections are accepted and signals are handled.
    """

    def __init__(self, app: FastAPI, settings: Settings, announce: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=patient_for(settings.head_seconds, lambda: self._admission.closed),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(settings.deadline_seconds) + 5,
        )
        super().__init__(config)
        self._admission = app.state.service.admission
        app.state.service.on_ready = freeze_garbage_collector
        self._drain_seconds = settings.drain_seconds
        self._announce = announce
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then say so: whoever reads it may send requests and signals."""
        sys.setswitchinterval(SWITCH_SECONDS)
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            self._announce()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; a second signal ends the draining at once."""
        del sig, frame
        if self._admission.closed:
            self.should_exit = True
            return
        self._admission.close()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._last_answers)
        timer = threading.Timer(self._drain_seconds, self._stop)
        timer.daemon = True
        timer.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as uvicorn does, once every connection that the system made for us is taken."""
        waiting = select.poll()
        for listener in sockets or ():
            waiting.register(listener.fileno(), select.POLLIN)
        while waiting.poll(0):
            await asyncio.sleep(0.001)
        await super().shutdown(sockets)

    def _last_answers(self) -> None:
        """Have clients open other connections, which a load balancer then takes elsewhere."""
        for connection in self.server_state.connections:
            if isinstance(connection, Connection):
                connection.last_answer()

    def _stop(self) -> None:
        self.should_exit = True


def freeze_garbage_collector() -> None:
    """Collect once, and leave what is alive now out of later collections.

    Call it when what is served was loaded, and again when it was replaced: what was set aside before is then
    looked at once more, so that cycles of an old version go.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
