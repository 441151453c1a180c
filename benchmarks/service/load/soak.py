"""Servers that get SIGTERM under load: every accepted request is answered, and all exit with 0.

Each server also answers the same queries, one at a time and together, and the answers are compared over restarts, search
threads and batches.
"""

import asyncio
import json
import random
import signal
from collections import Counter

from benchmarks.report import Targets
from benchmarks.service.cases import Case
from benchmarks.service.load.clients import Client, Reply
from benchmarks.service.load.figures import differences
from benchmarks.service.serving import PATIENCE, Server, serving

CLIENTS = 8
COMPARED = 8
TOLERANCE = 1e-4
"""Tolerance of scores over batches, relative to an answer's largest: a batch sums gradients in another order."""


def measure(case: Case, targets: Targets, *, rounds: int) -> None:
    """Print the outcome of the rounds, and compare it with the targets."""
    statuses, exits, chance = Counter[str](), Counter[int](), random.Random(0)  # noqa: S311 - when to end a server
    alone: list[list[dict]] = []
    apart, same_order, batched = 0.0, 0, 0
    for number in range(rounds):
        with serving(case, threads=1 + number % 2) as server:
            alone.append(asyncio.run(_alone(server)))
            for one, other in zip(alone[0], asyncio.run(_together(server)), strict=True):
                same, difference = differences(one, other)
                apart, same_order, batched = max(apart, difference), same_order + same, batched + 1
            statuses += asyncio.run(_ended_while_asked(server, chance.uniform(0.1, 1.0)))
            exits[server.process.wait(PATIENCE)] += 1
    print(
        f"{case.words}: {rounds} times SIGTERM under load: {dict(sorted(statuses.items()))}, exit codes {dict(exits)}"
    )
    unanswered = sum(n for status, n in statuses.items() if status not in {"200", "503", "no connection"})
    targets.at_most(f"{case.name}, requests that were taken and not answered", unanswered, 0)
    targets.at_most(f"{case.name}, exit codes but 0", exits.total() - exits[0], 0)
    changed = sum(
        differences(a, b) != (True, 0.0) for each in alone[1:] for a, b in zip(alone[0], each, strict=True)
    )
    compared = len(alone[1:]) * COMPARED
    print(
        f"{case.words}: answers compared: {compared} over restarts and 1 or 2 threads, {batched} over batches "
        f"({same_order} in the same order)"
    )
    targets.at_most(f"{case.name}, ids and scores that differ over restarts and threads", changed, 0)
    targets.at_most(f"{case.name}, largest difference over batches", apart, TOLERANCE)


async def _alone(server: Server) -> list[dict]:
    """Ask some queries, one after another."""
    client = await Client.open(server)
    answers = [json.loads((await client.ask(body)).content) for body in server.case.bodies[:COMPARED]]
    client.close()
    return answers


async def _together(server: Server) -> list[dict]:
    """Ask the same queries at once, so that one batch computes them."""
    client = await Client.open(server)
    body = {"queries": list(server.case.queries[:COMPARED]), **server.case.options}
    reply = await client.ask(json.dumps(body).encode())
    client.close()
    answers: list[dict] = json.loads(reply.content)["answers"]
    return answers


async def _ended_while_asked(server: Server, seconds: float) -> Counter[str]:
    """Ask by several clients, and end the server meanwhile; a client stops at its first failure."""
    statuses: Counter[str] = Counter()
    started = [await Client.open(server) for _ in range(CLIENTS)]

    async def one(number: int, client: Client) -> None:
        reply: Reply | None = None
        while reply is None or reply.status == 200:
            try:
                reply = await client.ask(server.case.bodies[number % len(server.case.bodies)])
            except ConnectionRefusedError:
                statuses["no connection"] += 1  # nothing was taken: another replica is asked
                return
            except (OSError, asyncio.IncompleteReadError):
                statuses["broken"] += 1
                return
            statuses[str(reply.status)] += 1
            number += CLIENTS

    asking = asyncio.gather(*(one(number, client) for number, client in enumerate(started)))
    await asyncio.sleep(seconds)
    server.process.send_signal(signal.SIGTERM)
    await asking
    for client in started:
        client.close()
    return statuses
