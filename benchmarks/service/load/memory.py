"""Memory over many mixed requests: after a warm-up it must not grow."""

import asyncio
import itertools
import json
import struct
from collections import Counter
from collections.abc import Iterator

from benchmarks.report import Targets
from benchmarks.service.load.clients import Client, request
from benchmarks.service.load.figures import slope
from benchmarks.service.serving import Server

CLIENTS = 8
LARGE_K = 200
MOST_BYTES = 1024.0
"""Bytes by which memory may grow per query after the warm-up: 10 MB in 10,000 queries."""
CHUNK = 500
LEAVING = "leaves"


def measure(server: Server, targets: Targets, *, queries: int, warm_up: int) -> None:
    """Print the slope of the memory, and compare it with its target."""
    case = server.case
    kinds = mixed(server)
    counts: Counter[str] = Counter()
    for _ in range(0, warm_up, CHUNK):
        asyncio.run(_chunk(server, kinds, counts))
    counts.clear()
    points = [(0.0, float(server.resident()))]
    for done in range(CHUNK, queries + 1, CHUNK):
        asyncio.run(_chunk(server, kinds, counts))
        points.append((float(done), float(server.resident())))
    print(f"{case.words}: {queries} requests after {warm_up}: {dict(sorted(counts.items()))}")
    print(
        f"{case.words}: {points[0][1] / 1e6:.1f} MB of memory of its own at first, {points[-1][1] / 1e6:.1f} MB at the end, "
        f"at most {max(y for _, y in points) / 1e6:.1f} MB"
    )
    targets.at_most(f"{case.name}, bytes a query by the slope", slope(points), MOST_BYTES)
    wrong = sum(n for name, n in counts.items() if name.startswith("5") or name == "broken")
    targets.at_most(f"{case.name}, answers of 500 and more, and none", wrong, 0)


def mixed(server: Server) -> Iterator[tuple[str, bytes, str | None, dict[str, str]]]:
    """Yield requests of every kind in turn, without end: (kind, body, path, headers)."""
    queries, options = server.case.queries, server.case.options
    gradient = gradients(json.loads(server.read(f"/v1/indexes/{server.case.name}"))["gradients"])
    tensors = {"content_type": "application/vnd.safetensors"}
    for number in itertools.count():
        query = queries[number % len(queries)]
        yield "small", _body(query=query, **options), None, {}
        yield "shares", _body(query=query, k=3, shares=True), None, {}
        yield "large k", _body(query=query, k=LARGE_K, direction="both"), None, {}
        yield "batch", _body(queries=[query, queries[0]], k=2), None, {}
        yield "gradient", gradient, f"{server.path}?k=5", tensors
        yield "refused", _body(query={"nothing": number}), None, {}
        yield LEAVING, _body(query=query, **options), None, {}
        yield "small", _body(query=queries[(number + 7) % len(queries)], k=1), None, {}


def gradients(expected: dict[str, list[int]]) -> bytes:
    """Write a safetensors body of small numbers in the shapes of the index."""
    header, offset = {}, 0
    for name, shape in expected.items():
        size = 4
        for side in shape:
            size *= side
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    head = json.dumps(header).encode()
    numbers = struct.pack("<4f", 0.01, -0.02, 0.03, 0.005) * (offset // 16 + 1)
    return struct.pack("<Q", len(head)) + head + numbers[:offset]


def _body(**document: object) -> bytes:
    return json.dumps(document).encode()


async def _chunk(server: Server, kinds: Iterator, counts: Counter[str]) -> None:
    """Send a few hundred requests by several clients."""
    asked = list(itertools.islice(kinds, CHUNK))

    async def one() -> None:
        client = await Client.open(server)
        while asked:
            kind, body, path, headers = asked.pop()
            if kind == LEAVING:
                await _leave(server, body)
                counts[LEAVING] += 1
                continue
            try:
                reply = await client.ask(body, path, **headers)
                counts[f"{reply.status} {kind}"] += 1
            except (OSError, asyncio.IncompleteReadError):
                counts["broken"] += 1
                client = await Client.open(server)
        client.close()

    await asyncio.gather(*(one() for _ in range(CLIENTS)))


async def _leave(server: Server, body: bytes) -> None:
    """Send a request and disconnect at once."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request(server, body))
    await writer.drain()
    writer.close()
