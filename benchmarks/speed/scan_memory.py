"""Heap memory of an exact scan: several queries at once over an index, in a process of its own.

Run it with `make bench-scan-memory`. Anonymous memory (`RssAnon`) belongs to the process itself; pages of the mapped
index are not in it. The peak is looked at every two milliseconds.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import Targets
from benchmarks.speed.search import contents, gradient_like
from byline.index.index import AttributionIndex
from byline.index.writer import write_index
from byline.search.searcher import Searcher

TOP = 10
SCANS = 10
EACH_SECONDS = 0.002


def anonymous_mb() -> float:
    """Read the anonymous memory of this process, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit("expected RssAnon in /proc/self/status: this benchmark needs Linux")


class Peak:
    """A thread that samples the anonymous memory."""

    def __init__(self) -> None:
        self.mb = anonymous_mb()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(EACH_SECONDS):
            self.mb = max(self.mb, anonymous_mb())

    def stop(self) -> float:
        """Stop, and return the largest sample, in MB."""
        self._done.set()
        self._thread.join()
        return self.mb


def scan(path: Path, queries: int) -> None:
    """Print the memory before, at the peak of, and after some scans, and the median seconds of one."""
    torch.set_num_threads(1)
    with AttributionIndex.open(path, verify=False) as index:
        searcher = Searcher(index, threads=1)
        features = gradient_like(queries, index.width, seed=7)
        before, peak, times = anonymous_mb(), Peak(), []
        for _ in range(SCANS):
            start = time.perf_counter()
            searcher.search(features, TOP)
            times.append(time.perf_counter() - start)
        most = peak.stop()
        print(f"{before:.0f} {most:.0f} {anonymous_mb():.0f} {np.median(times):.3f}")


def main() -> int:
    """Print one row for each size; 1 if the target is missed."""
    parser = argparse.ArgumentParser(description="Memory of exact scans.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--queries", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="20,000 rows: does it run?")
    parser.add_argument("--scan", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.scan:
        scan(options.scan, options.queries)
        return 0
    rows, width = (20_000, 64) if options.smoke else (options.rows, options.width)
    print(
        f"{options.queries} queries in one exact scan of {width} numbers a row, {SCANS} scans, one thread\n"
    )
    print(f"{'rows':>10}{'before MB':>11}{'peak MB':>9}{'after MB':>10}{'s a scan':>10}")
    grown = []
    for count in (rows // 10, rows):
        with tempfile.TemporaryDirectory() as folder:
            path = write_index(contents(count, width, "exact"), Path(folder, "index"))
            command = [sys.executable, "-m", "benchmarks.speed.scan_memory", "--scan", str(path)]
            command += ["--queries", str(options.queries)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        before, most, after, seconds = map(float, done.stdout.split())
        grown.append(most - before)
        print(f"{count:>10,}{before:>11.0f}{most:>9.0f}{after:>10.0f}{seconds:>10.3f}")
    if options.smoke:
        return 0
    targets = Targets()
    targets.at_most("peak of the larger index over that of the smaller, MB", grown[1] - grown[0], 32)
    return targets.exit_code()


if __name__ == "__main__":
    raise SystemExit(main())
