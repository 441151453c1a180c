"""Running the application under uvicorn, and ending well."""

import threading
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.settings import Settings


class Server(uvicorn.Server):
    """A server that drains before it stops: `/readyz` says 503, then connections are refused.

    uvicorn's own would stop listening at once and end with the signal's status; this ends with 0.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(settings.deadline_seconds) + 5,
        )
        super().__init__(config)
        self._admission = app.state.service.admission
        self._drain_seconds = settings.drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; a second signal ends the draining at once."""
        del sig, frame
        if self._admission.closed:
            self.should_exit = True
            return
        self._admission.close()
        timer = threading.Timer(self._drain_seconds, self._stop)
        timer.daemon = True
        timer.start()

    def _stop(self) -> None:
        self.should_exit = True
