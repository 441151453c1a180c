"""The uvicorn server: start, drain and stop."""

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

from byline_service.http.connections import Connection, ConnectionLimits, connection_class
from byline_service.settings import Settings

SWITCH_SECONDS = 0.0005
"""Seconds after which the compute thread gives the interpreter's lock to the event loop. Each request takes the lock
after every read and write. At Python's default of 5 ms, refusals alone would queue up."""


class Server(uvicorn.Server):
    """A uvicorn server that drains before it stops: `/readyz` answers 503, then connections are refused.

    uvicorn itself would stop listening at once and exit with the signal's status. This server exits with 0.

    Args:
        app: The application.
        settings: The configuration.
        announce: Called once connections are accepted and signal handlers are installed.
    """

    def __init__(self, app: FastAPI, settings: Settings, announce: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=connection_class(self._limits(app, settings)),
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

    def _limits(self, app: FastAPI, settings: Settings) -> ConnectionLimits:
        return ConnectionLimits(
            head_seconds=settings.head_seconds,
            write_seconds=settings.write_seconds,
            per_address=settings.connections_per_address,
            draining=lambda: self._admission.closed,
            refused=app.state.service.metrics.count_refused_connection,
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then announce that requests and signals may come."""
        sys.setswitchinterval(SWITCH_SECONDS)
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            self._announce()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain. A second signal ends the drain at once."""
        del sig, frame
        if self._admission.closed:
            self.should_exit = True
            return
        self._admission.close()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._close_after_answers)
        timer = threading.Timer(self._drain_seconds, self._stop)
        timer.daemon = True
        timer.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as uvicorn does, after every connection in the listen queue is accepted."""
        waiting = select.poll()
        for listener in sockets or ():
            waiting.register(listener.fileno(), select.POLLIN)
        while waiting.poll(0):
            await asyncio.sleep(0.001)
        await super().shutdown(sockets)

    def _close_after_answers(self) -> None:
        """Close each connection after its answer, so that a load balancer opens the next one elsewhere."""
        for connection in self.server_state.connections:
            if isinstance(connection, Connection):
                connection.close_after_answer()

    def _stop(self) -> None:
        self.should_exit = True


def freeze_garbage_collector() -> None:
    """Collect once, and leave every living object out of later collections.

    Call it once the indexes are loaded, and again after a version was replaced. Frozen objects are then examined once
    more, so that reference cycles of the old version are freed.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
