"""What HTTP adds to a query's own compute: latency at the client minus the timings in the answer.

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
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.tasks.tiny import QUERY, build_tiny

TARGET = 10.0
"""Milliseconds that HTTP may add at the median."""
START_SECONDS = 120.0


def start(index: Path, data: Path) -> tuple[subprocess.Popen[str], int, str]:
    """Start a server with its accounts in a new folder.

    Returns:
        Its process, the port and the key that it printed.
    """
    command = [sys.executable, "-m", "byline", "serve", f"bench={index}", "--port", "0"]
    environment = os.environ | {"BYLINE_DATA_DIR": str(data)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if " at http://" not in line:
        raise SystemExit("the server did not start: run `byline serve` by hand to see why")
    key = process.stdout.readline().split(": ")[1].strip()
    return process, int(line.split("127.0.0.1:")[1].split("/")[0]), key


def wait_ready(connection: HTTPConnection) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        response.read()
        if response.status == 200:
            return
        time.sleep(0.05)
    raise SystemExit(f"the server was not ready within {START_SECONDS:g} s")


def ask(connection: HTTPConnection, key: str, body: bytes) -> tuple[float, float]:
    """Ask once.

    Returns:
        Milliseconds at the client, and those of compute that the answer reports.
    """
    begun = time.perf_counter()
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    connection.request("POST", "/v1/indexes/bench/attributions", body, headers)
    response = connection.getresponse()
    content = response.read()
    latency = (time.perf_counter() - begun) * 1e3
    if response.status != 200:
        raise SystemExit(f"status {response.status}: {content.decode()}")
    timings = json.loads(content)["timings"]
    return latency, sum(value for stage, value in timings.items() if stage != "queue")


def measure(index: Path, query: str, requests: int, k: int) -> dict[str, float]:
    """Ask many times, one after another; the first tenth only warms up."""
    body = json.dumps({"query": json.loads(query), "k": k, "shares": True}).encode()
    with tempfile.TemporaryDirectory() as data:
        return measured_figures(index, body, requests, Path(data))


def measured_figures(index: Path, body: bytes, requests: int, data: Path) -> dict[str, float]:
    process, port, key = start(index, data)
    try:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        wait_ready(connection)
        for _ in range(max(5, requests // 10)):
            ask(connection, key, body)
        measured = [ask(connection, key, body) for _ in range(requests)]
    finally:
        process.terminate()
        process.wait(60)
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
