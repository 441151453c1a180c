"""How long a connection may take to say what it wants, what is no request, and how a connection ends.

The parser is llhttp, of Node.js, by httptools. It is laxer than HTTP in some points, and has no limit on a head; uvicorn
alone waits for ever.
"""

import asyncio
import select
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from byline_service.http.middleware import SECURITY_HEADERS
from byline_service.http.problems import MEDIA_TYPE, Kind, problem

BROKEN = Kind(400, "bad-request")
HEAD_BYTES = 1 << 16
"""Longest head of a request: its address and its headers."""
FRESH_SECONDS = 0.25
"""How long a new connection has to begin its request when the service ends: its client may be about to send it."""


class _BrokenHeadError(Exception):
    """A head that the parser lets pass."""


class Connection(HttpToolsProtocol):
    """A connection of HTTP/1.1 that is closed when the head of a request does not come.

    A client that opens many and sends a byte now and then would hold them all, and no key is asked before the head
    is there. Bodies have the deadline of their request. Between requests uvicorn's own limit holds: 5 seconds
    without a byte.
    """

    head_seconds: float
    _late: asyncio.TimerHandle | None = None
    _head_bytes = 0
    """Of the head that is being read."""
    _unread = 0
    """Bytes that came since the last head, or piece of a body, was complete."""
    _in_head = True
    _broken = False
    """Whether what came after the requests that are being answered is none."""
    _last = False
    """Whether the request that is being answered, or the next one, is the last."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Read on; wait for the rest of a head that has begun."""
        if self._broken:
            return
        self._unread += len(data)
        super().data_received(data)
        if self._unread > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head is too long.")
        if self._broken or not (self._in_head and self._unread):
            self._stop_waiting()
        elif self._late is None:
            self._wait()
        if self._latest is not None and self._latest.response_complete and self._late is None:
            self._idle()  # the rest of a body that was refused: uvicorn waits for ever for what follows

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._in_head, self._head_bytes, self._unread = True, 0, max(1, self._unread)

    def on_url(self, url: bytes) -> None:
        """Read on in the address."""
        self._head_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one behind a body is none of the request's."""
        if self._in_head:
            self._head_bytes += len(name) + len(value)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hold that the head is one, and begin to answer.

        Raises:
            _BrokenHeadError: It is not: the parser then reports an error.
        """
        self._in_head, self._unread = False, 0
        hosts = sum(name == b"host" for name, _ in self.headers)
        version = self.parser.get_http_version()
        if version not in {"1.0", "1.1"} or hosts > 1 or (version == "1.1" and not hosts):
            raise _BrokenHeadError
        if self._head_bytes > HEAD_BYTES or not self.url.startswith(b"/"):
            raise _BrokenHeadError
        super().on_headers_complete()
        if self._last or self.parser.should_upgrade():
            self.cycle.keep_alive = False  # what follows an upgrade that was asked for is not HTTP/1.1

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request: what comes then is another head."""
        self._in_head, self._unread = True, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, or say that what followed is none."""
        pending = bool(self.pipeline)
        super().on_response_complete()
        if self._broken and not pending and not self.transport.is_closing():
            self._refuse()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request as everything else is refused, once the requests before it are answered."""
        del msg
        self._broken = True
        cycle = self._latest
        if cycle is None or cycle.response_complete:
            self._refuse()
        elif cycle.more_body and self.pipeline:
            self.pipeline.popleft()  # its body is none: the refusal is its answer, after those before
        elif cycle.more_body:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.abort()  # in the middle of an answer: there is no way left to say so
            else:
                self._refuse()

    def last_answer(self) -> None:
        """Tell the client with the next answer that there will be no other on this connection."""
        self._last = True
        if (cycle := self._latest) is not None:
            cycle.keep_alive = False

    def shutdown(self) -> None:
        """End the connection, unless a request is being answered, or there is one that was not read yet."""
        self._last = True
        if self._unread or self._readable():
            return
        if self._latest is None:
            self.loop.call_later(FRESH_SECONDS, self._end_if_idle)
        else:
            super().shutdown()

    def _idle(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    @property
    def _latest(self) -> RequestResponseCycle | None:
        """The last request whose head was read, with its answer."""
        return self.cycle

    def _end_if_idle(self) -> None:
        if self._latest is None and not self._unread and not self.transport.is_closing():
            self.transport.close()

    def _readable(self) -> bool:
        waiting = select.poll()
        waiting.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(waiting.poll(0))

    def _refuse(self) -> None:
        detail = f"Expected HTTP/1.1 with one Host and a head of at most {HEAD_BYTES} bytes."
        content = problem(BROKEN, detail).model_dump_json(exclude_none=True)
        headers = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(content)), "Connection": "close"}
        lines = [f"{name}: {value}" for name, value in {**headers, **SECURITY_HEADERS}.items()]
        head = "\r\n".join(["HTTP/1.1 400 Bad Request", *lines])
        self.transport.write(f"{head}\r\n\r\n{content}".encode())
        self.transport.close()

    def _wait(self) -> None:
        self._late = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def patient_for(seconds: float, draining: Callable[[], bool]) -> type[Connection]:
    """The class of a server's connections; uvicorn makes one for each.

    Args:
        seconds: How long they wait for a head.
        draining: Whether the service is about to end: each answer is then the last on its connection.
    """

    class Patient(Connection):
        head_seconds = seconds

        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            if draining():
                self.cycle.keep_alive = False

    return Patient
