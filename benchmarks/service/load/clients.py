"""A small HTTP/1.1 client over asyncio streams: cheap enough to share two cores with the server it loads."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from benchmarks.service.serving import Server

SETTLING = 0.2
"""Share of an open loop's time before it counts answers: the load sets in."""
PATIENCE = 90.0
"""Seconds until the benchmark gives up on an answer."""


@dataclass(frozen=True)
class Reply:
    """The answer to one request."""

    status: int
    seconds: float
    headers: Mapping[str, str]
    content: bytes


@dataclass
class Tally:
    """Counts and times of many answers."""

    seconds: float = 0.0
    """Time that is counted: from the first request to the last answer, or of an open loop once it has settled."""
    latencies: dict[int, list[float]] = field(default_factory=dict)
    """Latencies in seconds, by status."""
    outside: int = 0
    """Answers of an open loop that do not count: before it has settled, or after its end."""
    broken: int = 0
    """Connections that ended without an answer."""
    without_retry: int = 0
    """Refusals without a Retry-After header."""

    def note(self, reply: Reply) -> None:
        """Count a reply."""
        self.latencies.setdefault(reply.status, []).append(reply.seconds)
        if reply.status in {429, 503} and "retry-after" not in reply.headers:
            self.without_retry += 1

    @property
    def statuses(self) -> Counter[int]:
        """Number of replies by status."""
        return Counter({status: len(each) for status, each in sorted(self.latencies.items())})

    @property
    def rate(self) -> float:
        """Answers per second."""
        return (len(self.latencies.get(200, ())) - self.outside) / self.seconds


class Client:
    """One connection at a time, opened again after the server closes it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        self._reader, self._writer, self._server = reader, writer, server
        self._ended = False

    @classmethod
    async def open(cls, server: Server) -> Self:
        """Open a connection."""
        return cls(*await asyncio.open_connection("127.0.0.1", server.port), server)

    async def ask(self, body: bytes, path: str | None = None, **headers: str) -> Reply:
        """POST a body and read the answer.

        Raises:
            ConnectionRefusedError: The server had ended the last connection, and takes no other.
            ConnectionError, asyncio.IncompleteReadError: The connection ended before the answer did.
        """
        begun = time.perf_counter()
        if self._ended or self._reader.at_eof():  # or ended while nothing was asked: 5 idle seconds
            self._writer.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        self._writer.write(request(self._server, body, path, **headers))
        async with asyncio.timeout(PATIENCE):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            named = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
            }
            content = await self._reader.readexactly(int(named.get("content-length", 0)))
        self._ended = named.get("connection") == "close"
        return Reply(int(head[0].split()[1]), time.perf_counter() - begun, named, content)

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


def request(server: Server, body: bytes, path: str | None = None, **headers: str) -> bytes:
    """Write the bytes of a POST; `content_type="..."` stands for a header."""
    named = {**server.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"{name}: {value}" for name, value in named.items()]
    head = "\r\n".join([f"POST {path or server.path} HTTP/1.1", *lines, f"content-length: {len(body)}"])
    return head.encode() + b"\r\n\r\n" + body


async def closed_loop(
    server: Server,
    clients: int,
    seconds: float,
    note: Callable[[Reply], None] = lambda _: None,
    bodies: Sequence[bytes] = (),
) -> Tally:
    """Run clients that send the next request as soon as they have an answer.

    Args:
        server: Who is asked.
        clients: How many.
        seconds: How long; what is under way then is waited for.
        note: Told every reply.
        bodies: What is asked, in turn; the case's queries where none are given.

    Returns:
        What came back.
    """
    asked, tally, begun = list(bodies) or server.case.bodies, Tally(), time.perf_counter()

    async def one(number: int) -> None:
        client = await Client.open(server)
        while time.perf_counter() - begun < seconds:
            reply = await client.ask(asked[number % len(asked)])
            number += clients
            tally.note(reply)
            note(reply)
        client.close()

    await asyncio.gather(*(one(number) for number in range(clients)))
    tally.seconds = time.perf_counter() - begun
    return tally


async def open_loop(server: Server, rate: float, seconds: float) -> Tally:
    """Send requests at a constant rate, whether or not earlier ones are answered.

    Args:
        server: Who is asked.
        rate: Requests a second.
        seconds: How long; what is under way then is waited for.

    Returns:
        What came back.
    """
    tally, idle, asked = Tally(), list[Client](), server.case.bodies

    async def one(number: int) -> None:
        try:
            client = idle.pop() if idle else await Client.open(server)
            reply = await client.ask(asked[number % len(asked)])
        except (OSError, asyncio.IncompleteReadError):
            tally.broken += 1
            return
        tally.note(reply)
        settled = time.perf_counter() - begun > seconds * SETTLING
        tally.outside += reply.status == 200 and (tally.seconds > 0 or not settled)
        idle.append(client)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            group.create_task(one(number))
        tally.seconds = time.perf_counter() - begun - seconds * SETTLING
    for client in idle:
        client.close()
    return tally
