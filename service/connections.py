"""How long a connection may take to say what it wants: uvicorn alone waits for ever."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.middleware import SECURITY_HEADERS
from service.problems import MEDIA_TYPE, Kind, problem

BROKEN = Kind(400, "bad-request", "The request is broken")
HEAD_BYTES = 1 << 16
"""Longest head of a request: its address and its headers."""


class Connection(H11Protocol):
    """A connection of HTTP/1.1 that is closed when the head of a request does not come.

    A client that opens many and sends a byte now and then would hold them all, and no key is asked before the head
    is there. Bodies have the deadline of their request. Between requests uvicorn's own limit holds: 5 seconds
    without a byte.
    """

    head_seconds: float
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Read on; wait for the rest of a head that has begun."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._late is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, or one with a head that is too long, as everything else is refused."""
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.abort()  # in the middle of an answer: there is no way left to say so
            return
        refused = problem(BROKEN, f"{msg} Expected HTTP/1.1 with a head of at most {HEAD_BYTES} bytes.")
        content = refused.model_dump_json(exclude_none=True).encode()
        headers = [
            ("Content-Type", MEDIA_TYPE),
            ("Content-Length", str(len(content))),
            ("Connection", "close"),
        ]
        answer = h11.Response(status_code=BROKEN.status, headers=[*headers, *SECURITY_HEADERS.items()])
        for event in (answer, h11.Data(data=content), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _wait(self) -> None:
        self._late = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def patient_for(seconds: float) -> type[Connection]:
    """The class of connections that wait so long for a head; uvicorn makes one for each."""

    class Patient(Connection):
        head_seconds = seconds

    return Patient
