"""Answers per second over HTTP at 32 clients, beside those of the same process without HTTP."""

import asyncio
import statistics

from benchmarks.report import Targets
from benchmarks.service.load import wrk
from benchmarks.service.load.clients import closed_loop
from benchmarks.service.serving import Server

CLIENTS = 32
RATIO = 0.8


def over_http(server: Server, clients: int, seconds: float) -> float:
    """Measure answers per second, by wrk where it is installed."""
    if wrk.INSTALLED:
        return wrk.throughput(server, clients, seconds)
    return asyncio.run(closed_loop(server, clients, seconds)).rate


def measure(server: Server, targets: Targets | None, *, rounds: int, seconds: float) -> None:
    """Print one line a round, and the medians; compare the ratio with the targets, if there are any."""
    ratios, direct, http = [], [], []
    case = server.case
    over_http(server, CLIENTS, seconds)  # warms up
    for _ in range(rounds):
        before = server.direct(CLIENTS, seconds)
        http.append(over_http(server, CLIENTS, seconds))
        direct.append((before + server.direct(CLIENTS, seconds)) / 2)
        ratios.append(http[-1] / direct[-1])
    alone, single = server.direct(1, seconds), over_http(server, 1, seconds)
    ratio = statistics.median(ratios)
    print(
        f"{case.words}: queries a second with batches of {CLIENTS} without HTTP {statistics.median(direct):.1f}, "
        f"{CLIENTS} clients over HTTP {statistics.median(http):.1f}, one at a time without HTTP {alone:.1f} and over "
        f"HTTP {single:.1f}; rounds {', '.join(f'{each:.3f}' for each in ratios)}"
    )
    print(
        f"{case.words}: {CLIENTS} clients over one at a time, without HTTP: {statistics.median(http) / alone:.2f}"
    )
    if targets is None:
        print(f"        {case.words}, HTTP over batches of {CLIENTS}: {ratio:.3f}")
    else:
        targets.at_least(f"{case.words}, HTTP over batches of {CLIENTS}", ratio, RATIO)
