"""HTTP/1.1 connections: deadlines for heads and for readers, a cap by address, strict parsing, and an orderly end.

The parser is llhttp of Node.js, through httptools. It is more lenient than HTTP in some points and has no limit on a
head. uvicorn by itself waits without limit.
"""

import asyncio
import select
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import ClassVar

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from byline_service.http.middleware import SECURITY_HEADERS
from byline_service.http.problems import MEDIA_TYPE, Kind, problem

BROKEN = Kind(400, "bad-request")
HEAD_BYTES = 1 << 16
"""Longest head of a request: its target and its headers."""
FRESH_SECONDS = 0.25
"""Seconds that a new connection has to begin its request during shutdown: its client may be about to send it."""


READ_BYTES = 1 << 16
"""Bytes of a waiting answer that a client must take in the time that the settings give it."""
log = structlog.get_logger("service.connections")


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """Limits on a server's connections, and what they have in common."""

    head_seconds: float
    """Deadline of a head."""
    write_seconds: float
    """Time in which a client takes `READ_BYTES` of a waiting answer."""
    per_address: int
    """Most connections of one address."""
    draining: Callable[[], bool]
    """Whether the service is shutting down: every answer is then the last on its connection."""
    refused: Callable[[str], None]
    """Called with the cause, `address` or `reader`, when a connection is closed for it."""
    open: Counter[str] = field(default_factory=Counter)
    """Number of open connections by address."""


def address_group(address: str) -> str:
    """Return the address that connections are counted by: an IPv6 client has a whole network of 64 bits."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped is not None else parsed.exploded[:19]
    return str(parsed)


class _BrokenHeadError(Exception):
    """A head that the parser accepts and HTTP does not allow."""


class Connection(HttpToolsProtocol):
    """An HTTP/1.1 connection that is closed if the head of a request does not arrive in time.

    Without a deadline, a client could hold many connections open by sending a byte now and then, before any key is
    checked. Bodies have the deadline of their request. Between requests, uvicorn's own limit applies: 5 seconds
    without a byte.
    """

    limits: ClassVar[ConnectionLimits]
    _address: str | None = None
    """Address that the connection is counted by. None if it is not counted."""
    _reader: asyncio.TimerHandle | None = None
    _waiting_bytes = 0
    """Bytes that waited for the client at the last look."""
    _late: asyncio.TimerHandle | None = None
    _head_bytes = 0
    """Bytes of the current head."""
    _unread = 0
    """Bytes since the last complete head or part of a body."""
    _in_head = True
    _broken = False
    """Whether the bytes after the current requests are not a valid request."""
    _last = False
    """Whether the current request, or the next one, is the last."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline of the first head, unless the address has too many connections."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        address = address_group(str(peer[0])) if isinstance(peer, tuple) else "local"
        if self.limits.open[address] >= self.limits.per_address:
            self._close_for("address", address)
            return
        self._address = address
        self.limits.open[address] += 1
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Parse bytes. Start a deadline for the rest of an incomplete head."""
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
            self._idle()  # the rest of a refused body has come: uvicorn would wait without limit for the next request

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadlines."""
        self._stop_waiting()
        self._stop_watching()
        if self._address is not None:
            self.limits.open[self._address] -= 1
            if not self.limits.open[self._address]:
                del self.limits.open[self._address]
            self._address = None
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Stop writing until the client has taken bytes, which has a deadline."""
        super().pause_writing()
        self._stop_watching()
        self._watch()

    def resume_writing(self) -> None:
        """Write on: the client has taken the waiting bytes."""
        self._stop_watching()
        super().resume_writing()

    def on_message_begin(self) -> None:
        """Start a head."""
        super().on_message_begin()
        self._in_head, self._head_bytes, self._unread = True, 0, max(1, self._unread)

    def on_url(self, url: bytes) -> None:
        """Count a part of the request target."""
        self._head_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. Trailers after a body are dropped."""
        if self._in_head:
            self._head_bytes += len(name) + len(value)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check the head and start the request.

        Raises:
            _BrokenHeadError: The head is not valid. The parser then reports an error.
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
            self.cycle.keep_alive = False  # bytes after a requested upgrade are not HTTP/1.1

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request. The next bytes are another head."""
        self._in_head, self._unread = True, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Continue with the next request, or refuse the invalid bytes after this one."""
        pending = bool(self.pipeline)
        super().on_response_complete()
        if self._broken and not pending and not self.transport.is_closing():
            self._refuse()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are not a request, after the requests before them are answered."""
        del msg
        self._broken = True
        cycle = self._latest
        if cycle is None or cycle.response_complete:
            self._refuse()
        elif cycle.more_body and self.pipeline:
            self.pipeline.popleft()  # its body is not valid: the refusal is its answer, after the earlier ones
        elif cycle.more_body:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.abort()  # an answer has begun: it cannot be replaced by a refusal
            else:
                self._refuse()

    def close_after_answer(self) -> None:
        """Close the connection after the next answer, and say so in its headers."""
        self._last = True
        if (cycle := self._latest) is not None:
            cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close the connection, unless a request is in progress or its first bytes wait to be read."""
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
        """Return the last request whose head was read, with its answer."""
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

    def _watch(self) -> None:
        self._waiting_bytes = self.transport.get_write_buffer_size()
        self._reader = self.loop.call_later(self.limits.write_seconds, self._require_reader)

    def _require_reader(self) -> None:
        if self._waiting_bytes - self.transport.get_write_buffer_size() < READ_BYTES:
            self._close_for("reader", self._address)
        else:
            self._watch()

    def _stop_watching(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def _close_for(self, cause: str, address: str | None) -> None:
        self.limits.refused(cause)
        log.warning("connection closed", cause=cause, client=address)
        self.transport.abort()

    def _wait(self) -> None:
        self._late = self.loop.call_later(self.limits.head_seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def connection_class(common: ConnectionLimits) -> type[Connection]:
    """Return the class of a server's connections. Uvicorn creates one per connection.

    Args:
        common: The limits of all connections.
    """

    class ServerConnection(Connection):
        limits = common

        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            if common.draining():
                self.cycle.keep_alive = False

    return ServerConnection
