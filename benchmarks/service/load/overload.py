"""Three times the load that the service can answer, at a constant rate, and then a load that it can."""

import asyncio

from benchmarks.report import Targets
from benchmarks.service.cases import Case
from benchmarks.service.load.clients import Tally, closed_loop, open_loop
from benchmarks.service.load.figures import percentile
from benchmarks.service.load.throughput import CLIENTS
from benchmarks.service.serving import Server

TIMES = 3.0
GOODPUT = 0.9
ALLOWED = {200, 429, 503}


def measure(server: Server, targets: Targets, *, seconds: float) -> None:
    """Print the answers under overload, and compare them with the targets."""
    case = server.case
    asyncio.run(closed_loop(server, CLIENTS, seconds / 4))  # warms up
    before = asyncio.run(closed_loop(server, CLIENTS, seconds)).rate
    tally = asyncio.run(open_loop(server, TIMES * before, seconds))
    recovered = asyncio.run(closed_loop(server, CLIENTS, seconds / 2))
    after = asyncio.run(closed_loop(server, CLIENTS, seconds)).rate
    _print(case, tally, (before + after) / 2)
    _hold(case, targets, tally, (before + after) / 2, server)
    targets.at_most(
        f"{case.name}, refusals after the overload", recovered.statuses.total() - recovered.statuses[200], 0
    )


def _print(case: Case, tally: Tally, capacity: float) -> None:
    answered = tally.latencies.get(200, [0.0])
    refused = [each for status in (429, 503) for each in tally.latencies.get(status, ())] or [0.0]
    print(
        f"{case.words}: capacity {capacity:.1f} a second at {CLIENTS} clients; at {TIMES:g} times that "
        f"{dict(tally.statuses)}, broken {tally.broken}; answered in {percentile(answered, 50):.2f} s at the median and "
        f"{percentile(answered, 99):.2f} s at the 99th percentile, refused in {1e3 * percentile(refused, 50):.0f} and "
        f"{1e3 * percentile(refused, 99):.0f} ms"
    )


def _hold(case: Case, targets: Targets, tally: Tally, capacity: float, server: Server) -> None:
    others = sum(count for status, count in tally.statuses.items() if status not in ALLOWED)
    targets.at_most(f"{case.name}, answers but 200, 429 and 503", others + tally.broken, 0)
    targets.at_most(f"{case.name}, refusals without Retry-After", tally.without_retry, 0)
    targets.at_least(f"{case.name}, goodput over capacity", tally.rate / capacity, GOODPUT)
    bound = 2 * _queue(server) / capacity
    slowest = percentile(tally.latencies.get(200, [0.0]), 99)
    targets.at_most(f"{case.name}, 99th percentile of the answers, s", slowest, bound)


def _queue(server: Server) -> int:
    """Count the requests that may be inside: no client should wait for twice as many."""
    from byline_service.settings import Settings

    del server
    return int(Settings.model_fields["queue_requests"].default)
