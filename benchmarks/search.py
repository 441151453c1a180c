"""Exact search against 1-bit codes with rescoring, on gradient-like vectors, one query at a time, one thread.

Run it with `make bench-search`. Vectors have a power-law spectrum and log-normal lengths, queries are drawn in the
same way. Both indexes hold the same fp16 rows; recall is counted against exact search's ten.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.targets import Targets
from byline.examples import Example
from byline.gradients.blocks import Block
from byline.recipe import recipe
from byline.search.searcher import Searcher
from byline.store.contents import IndexContents
from byline.store.fingerprint import Fingerprint
from byline.store.index import AttributionIndex
from byline.store.layout import MemberLayout, StorageOptions, TaskRecord
from byline.store.writer import write_index

BLOCK = 4_096
TOP = 10


@dataclass(frozen=True)
class Outcome:
    """One search over all queries."""

    median_ms: float
    rows: list[list[int]]


def gradient_like(rows: int, width: int, seed: int) -> NDArray[np.float32]:
    """Draw vectors [rows, width]: power-law spectrum, heavy-tailed (log-normal) lengths."""
    generator = np.random.default_rng(seed)
    spectrum = (np.arange(1, width + 1) ** -0.5).astype(np.float32)
    vectors = generator.standard_normal((rows, width), dtype=np.float32) * spectrum
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors * np.exp(generator.standard_normal((rows, 1), dtype=np.float32))


def contents(rows: int, width: int, search: str) -> IndexContents:
    """A build of `rows` vectors that are drawn block by block."""

    def blocks() -> Iterator[NDArray[np.float32]]:
        for number, start in enumerate(range(0, rows, BLOCK)):
            yield gradient_like(min(BLOCK, rows - start), width, seed=1_000 + number)

    options = StorageOptions.model_validate({"search": search})
    method = recipe("grad_dot")
    return IndexContents(
        recipe=method,
        fingerprint=Fingerprint.of(
            recipe=method, weights=["-"], data=f"{rows}x{width}", task="-", storage=options, build={}
        ),
        task=TaskRecord(reference="benchmarks/search.py", digest="-", name="search"),
        blocks=(Block(name="w", parameters=("w",), shapes=((4, 3),), form="matrix"),),
        members=(MemberLayout(name="c0", checkpoint=0, width=width),),
        rows=rows,
        features=blocks,
        row_weights=None,
        self_influence=np.zeros(rows),
        examples=lambda: (Example(id=str(row), owner=f"owner-{row % 100}") for row in range(rows)),
        states={"c0": {}},
        build={},
        storage=options,
    )


def ask(index: AttributionIndex, queries: NDArray[np.float32]) -> Outcome:
    """Search for each query alone, after three to warm up."""
    searcher = Searcher(index, threads=1)
    for query in queries[:3]:
        searcher.search(query[None], TOP)
    times, rows = [], []
    for query in queries:
        start = time.perf_counter()
        hits = searcher.search(query[None], TOP)
        times.append(1_000 * (time.perf_counter() - start))
        rows.append(hits.rows_QK[0].tolist())
    return Outcome(median(times), rows)


def main() -> int:
    """Print one row for each way to search; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description="Exact against compressed search.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=1_024)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--smoke", action="store_true", help="2,000 rows, 5 queries: does it run?")
    options = parser.parse_args()
    rows, width, count = (2_000, 64, 5) if options.smoke else (options.rows, options.width, options.queries)
    torch.set_num_threads(1)
    queries = gradient_like(count, width, seed=7)
    outcomes: dict[str, Outcome] = {}
    print(f"{rows:,} rows x {width:,}, {count} queries one at a time, one thread, top {TOP}\n")
    print(f"{'search':<12}{'build s':>9}{'MB':>8}{'factor':>8}{'ms/query':>10}{'faster':>8}{'recall@10':>11}")
    with tempfile.TemporaryDirectory() as folder:
        for search in ("exact", "compressed"):
            start = time.perf_counter()
            path = write_index(contents(rows, width, search), Path(folder, search))
            seconds = time.perf_counter() - start
            megabytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
            with AttributionIndex.open(path) as index:
                outcomes[search] = ask(index, queries)
                factor = index.manifest.search.rescore_factor
            exact, this = outcomes["exact"], outcomes[search]
            found = [len(set(a) & set(b)) for a, b in zip(exact.rows, this.rows, strict=True)]
            print(
                f"{search:<12}{seconds:>9.1f}{megabytes:>8.0f}{factor or '-':>8}{this.median_ms:>10.2f}"
                f"{exact.median_ms / this.median_ms:>7.1f}x{sum(found) / (TOP * count):>11.4f}"
            )
    if options.smoke:
        return 0
    targets = Targets()
    targets.at_least("compressed over exact, times faster", exact.median_ms / this.median_ms, 5)
    targets.at_least("recall@10", sum(found) / (TOP * count), 0.999)
    return targets.exit_code()


if __name__ == "__main__":
    raise SystemExit(main())
