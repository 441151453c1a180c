"""Search in as many rows as large training sets have, and in 64 times fewer."""

import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.report import Targets
from benchmarks.speed.group_indexes import timed
from byline.index.faiss_file import SearchFile, write_flat

WIDTH = 1024


def scans(console: Console, targets: Targets, *, tiny: bool) -> None:
    """Print the scan's time by number of rows; made-up rows, half precision, one thread, top 10."""
    points, size = (4096, 64) if tiny else (262_144, 64)
    table = Table("rows", "bytes", "ms a query", title=f"exact search, width {WIDTH:,}")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in (points, points // size):
            path = Path(folder) / f"{rows}.faiss"
            seconds = _searched(path, rows)
            found.append(seconds)
            table.add_row(f"{rows:,}", f"{path.stat().st_size:,}", f"{seconds * 1e3:.3f}")
    console.print(table)
    if not tiny:
        targets.at_least(
            f"search of points over groups of {size}, {points:,} points", found[0] / found[1], size
        )


def _searched(path: Path, rows: int) -> float:
    rng = np.random.default_rng(0)

    def block(start: int, stop: int) -> np.ndarray:
        return rng.standard_normal((stop - start, WIDTH), dtype=np.float32)

    with path.open("wb") as file:
        for _ in write_flat(file, block, (rows, WIDTH), "fp16", 8192):
            pass
    opened = SearchFile(path)
    times = []
    for _ in range(12):
        query_1K = rng.standard_normal((1, WIDTH), dtype=np.float32)
        times.append(timed(lambda q=query_1K: opened.nearest(q, 10))[0])
    return float(np.median(times[2:]))
