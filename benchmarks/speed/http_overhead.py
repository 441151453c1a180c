"""Time that HTTP adds to a query: latency at the client minus the timings in the answer.

    python -m benchmarks.speed.http_overhead                          # a tiny index that it builds itself
    python -m benchmarks.speed.http_overhead --smoke                  # the same, 50 requests
    python -m benchmarks.speed.http_overhead INDEX --query '{"text": "..."}'

Starts `byline serve` on a free loopback port, asks one query after another over one connection, and prints
percentiles in milliseconds. "Compute" is everything that the answer's `timings` say but the wait for the
compute thread, which belongs to HTTP's side.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from benchmarks.service.cases import Case
from benchmarks.service.serving import Server, serving
from benchmarks.tasks.tiny import QUERY, build_tiny

TARGET = 10.0
"""Milliseconds that HTTP may add at the median."""


def ask(server: Server, connection: HTTPConnection, body: dict[str, Any]) -> tuple[float, float]:
    """Send one request.

    Returns:
        Milliseconds at the client, and those of compute in the answer's timings.
    """
    begun = time.perf_counter()
    status, answer = server.call(connection, "POST", server.path, body)
    latency = (time.perf_counter() - begun) * 1e3
    if status != 200:
        raise SystemExit(f"status {status}: {answer}")
    return latency, sum(value for stage, value in answer["timings"].items() if stage != "queue")


def measure(index: Path, query: str, requests: int, k: int) -> dict[str, float]:
    """Send many requests, one after another; the first tenth warms up."""
    case = Case("bench", index, [json.loads(query)])
    body = {"query": case.queries[0], "k": k, "shares": True}
    with serving(case, threads=os.cpu_count() or 1) as server:
        connection = server.connect()
        for _ in range(max(5, requests // 10)):
            ask(server, connection, body)
        measured = [ask(server, connection, body) for _ in range(requests)]
    added = sorted(latency - compute for latency, compute in measured)
    return {
        "requests": requests,
        "latency_p50_ms": statistics.median(latency for latency, _ in measured),
        "compute_p50_ms": statistics.median(compute for _, compute in measured),
        "added_p50_ms": statistics.median(added),
        "added_p95_ms": added[int(0.95 * (len(added) - 1))],
        "added_p99_ms": added[int(0.99 * (len(added) - 1))],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("index", nargs="?", type=Path, help="index directory; a tiny one by default")
    parser.add_argument("--query", default=json.dumps({"features": QUERY}), help="payload as JSON")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--smoke", action="store_true", help="50 requests")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        index = arguments.index or build_tiny(Path(folder))
        requests = 50 if arguments.smoke else arguments.requests
        figures = measure(index, arguments.query, requests, arguments.k)
    for name, value in figures.items():
        print(f"{name:16} {value:10.2f}")
    print(f"HTTP adds {figures['added_p50_ms']:.2f} ms at the median; the target is under {TARGET:g} ms")
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(figures, indent=1) + "\n")
    if figures["added_p50_ms"] >= TARGET and not arguments.smoke:
        raise SystemExit("the target is missed")


if __name__ == "__main__":
    main()
