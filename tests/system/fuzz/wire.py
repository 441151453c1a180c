"""Send bytes to a port without a client library, which would refuse most of them."""

import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

SECONDS = 10.0
"""Seconds until a connection is given up."""
CHUNK = 1 << 16


@dataclass(frozen=True)
class Reply:
    """One answer, complete or not."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def by_the_application(self) -> bool:
        """Tell whether the application answered, or the HTTP layer below it."""
        return "x-request-id" in self.headers


@dataclass(frozen=True)
class Exchange:
    """Answers of one connection."""

    replies: tuple[Reply, ...]
    rest: bytes
    """Bytes after the last complete answer."""
    closed: bool
    """Whether the server closed the connection."""


def exchange(port: int, pieces: Sequence[bytes], *, pause: float = 0.0, patience: float = 0.25) -> Exchange:
    """Send bytes over one connection, and read until the server closes it.

    A server that waits for more, as it does for the rest of a head or body, hears after a while that nothing
    more comes; not before, for one that is told at once need not answer.

    Args:
        port: On this machine.
        pieces: Sent one after another.
        pause: Seconds between pieces.
        patience: Seconds without a byte after which the client says that it has sent everything.
    """
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        # One that is reset has been closed by a server that has seen enough; one that is full, it does not read.
        with suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
        closed = _read(connection, received, patience)
        if not closed:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            closed = _read(connection, received, SECONDS)
    replies, rest = parse(bytes(received))
    return Exchange(tuple(replies), rest, closed)


def _read(connection: socket.socket, received: bytearray, seconds: float) -> bool:
    """Read on, and tell whether the server closed the connection."""
    connection.settimeout(seconds)
    try:
        while chunk := connection.recv(CHUNK):
            received += chunk
    except TimeoutError:
        return False
    except ConnectionResetError:
        pass
    return True


def parse(received: bytes) -> tuple[list[Reply], bytes]:
    """Split bytes into answers.

    Returns:
        The whole answers, and what is left over.
    """
    replies = []
    while received.startswith(b"HTTP/1."):
        head, separator, rest = received.partition(b"\r\n\r\n")
        if not separator:
            break
        status_line, *lines = head.split(b"\r\n")
        status = int(status_line.split(b" ")[1])
        headers = {}
        for line in lines:
            name, _, value = line.partition(b":")
            headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
        if status == 100:
            received = rest
            continue
        if "chunked" in headers.get("transfer-encoding", ""):
            body, received = _chunks(rest)
        elif "content-length" in headers:
            length = int(headers["content-length"])
            # An answer to HEAD names a length and has no body: the next answer follows at once.
            length = 0 if rest.startswith(b"HTTP/1.") or not rest else length
            body, received = rest[:length], rest[length:]
        else:
            body, received = rest, b""
        replies.append(Reply(status, headers, body))
    return replies, received


def _chunks(rest: bytes) -> tuple[bytes, bytes]:
    body = bytearray()
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16) if size else 0
        body += rest[:length]
        rest = rest[length + 2 :]
        if not length:
            return bytes(body), rest
