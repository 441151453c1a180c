"""The stages of the answers' own timings, and the time that HTTP adds to them."""

import asyncio
import json

from rich.console import Console
from rich.table import Table

from benchmarks.service.load.clients import Reply, closed_loop
from benchmarks.service.load.figures import percentile
from benchmarks.service.serving import Server

STAGES = ("queue", "predict", "gradient", "transform", "search", "join")
AT_ONCE = (1, 8, 32)


def measure(server: Server, *, seconds: float) -> None:
    """Print a table of milliseconds: median / 99th percentile."""
    table = Table("clients", "a second", *STAGES, "HTTP", "in all", title=server.case.words)
    asyncio.run(closed_loop(server, max(AT_ONCE), seconds / 4))  # warms up
    for clients in AT_ONCE:
        replies: list[Reply] = []
        tally = asyncio.run(closed_loop(server, clients, seconds, replies.append))
        columns = _columns(replies)
        cells = [f"{percentile(each, 50):.1f} / {percentile(each, 99):.1f}" for each in columns]
        table.add_row(str(clients), f"{tally.rate:.0f}", *cells)
    Console(width=150).print(table)


def _columns(replies: list[Reply]) -> list[list[float]]:
    timings = [json.loads(reply.content)["timings"] for reply in replies]
    whole = [1e3 * reply.seconds for reply in replies]
    added = [all_of - sum(each.values()) for all_of, each in zip(whole, timings, strict=True)]
    return [*([each[stage] for each in timings] for stage in STAGES), added, whole]
