"""Ordinary clients among slow bodies, unread answers and clients that disconnect."""

import asyncio
import json
import time
from collections import Counter

from benchmarks.report import Targets
from benchmarks.service.load.clients import closed_loop, request
from benchmarks.service.load.figures import percentile
from benchmarks.service.load.memory import LARGE_K, gradients
from benchmarks.service.serving import Server

CLIENTS = 16
SLOW = 12
"""Clients of each slow kind. A slow body occupies a place until its deadline, so they must be fewer than the queue."""
LEAVING_EVERY = 0.05
SHARE = 0.5
"""Share of their throughput that ordinary clients must keep: the others ask for answers too."""


def measure(server: Server, targets: Targets, *, seconds: float) -> None:
    """Print the throughput of ordinary clients, and compare it with its target."""
    case = server.case
    asyncio.run(closed_loop(server, CLIENTS, seconds / 4))
    alone = asyncio.run(closed_loop(server, CLIENTS, seconds))
    crowded, statuses = asyncio.run(_crowded(server, seconds))
    slowest = percentile(crowded.latencies.get(200, [0.0]), 99)
    print(
        f"{case.words}: {CLIENTS} clients alone {alone.rate:.1f} answers a second, among slow bodies, slow readers, "
        f"large and leaving ones {crowded.rate:.1f}; 99th percentile {slowest:.2f} s; others {dict(statuses)}"
    )
    others = statuses.total() - sum(statuses[each] for each in ("200", "503", "left"))
    refused = crowded.statuses.total() - crowded.statuses[200]
    targets.at_most(f"{case.name}, ordinary requests refused in a crowd", refused, 0)
    targets.at_most(f"{case.name}, answers but 200 and 503 in a crowd", others, 0)
    targets.at_least(f"{case.name}, throughput in a crowd over alone", crowded.rate / alone.rate, SHARE)


async def _crowded(server: Server, seconds: float):
    statuses: Counter[str] = Counter()
    slow = [asyncio.create_task(_slow_body(server)) for _ in range(SLOW)]
    slow += [asyncio.create_task(_slow_reader(server)) for _ in range(SLOW)]
    slow.append(asyncio.create_task(_leaving(server, seconds, statuses)))
    tensors = gradients(json.loads(server.read(f"/v1/indexes/{server.case.name}"))["gradients"])
    slow.append(asyncio.create_task(_large(server, tensors, seconds, statuses)))
    tally = await closed_loop(server, CLIENTS, seconds)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    return tally, statuses


async def _slow_body(server: Server) -> None:
    """Send a body byte by byte, with pauses."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    whole = request(server, server.case.bodies[0])
    head = whole.index(b"\r\n\r\n") + 4
    writer.write(whole[:head])
    for byte in whole[head:-1]:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.5)


async def _slow_reader(server: Server) -> None:
    """Ask for large answers and read a few bytes at a time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(request(server, json.dumps({"query": server.case.queries[0], "k": LARGE_K}).encode()))
    while await reader.read(16):
        await asyncio.sleep(0.2)


async def _leaving(server: Server, seconds: float, statuses: Counter[str]) -> None:
    """Send requests and disconnect."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request(server, server.case.bodies[0]))
        await writer.drain()
        await asyncio.sleep(LEAVING_EVERY)
        writer.close()
        statuses["left"] += 1


async def _large(server: Server, tensors: bytes, seconds: float, statuses: Counter[str]) -> None:
    """Send gradient bodies, one after another."""
    tally = await closed_loop_of(server, tensors, seconds)
    statuses.update({str(status): count for status, count in tally.items()})


async def closed_loop_of(server: Server, tensors: bytes, seconds: float) -> Counter[int]:
    """Run one client that sends gradients as soon as it has an answer."""
    from benchmarks.service.load.clients import Client

    client, found, end = await Client.open(server), Counter[int](), time.perf_counter() + seconds
    while time.perf_counter() < end:
        reply = await client.ask(tensors, f"{server.path}?k=5", content_type="application/vnd.safetensors")
        found[reply.status] += 1
    client.close()
    return found
