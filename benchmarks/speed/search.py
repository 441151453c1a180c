"""Exact search against 1-bit codes with rescoring, on gradient-like vectors, one query at a time, one thread.

Run it with `make bench-search`. Vectors have a power-law spectrum and log-normal lengths, queries are drawn in the
same way. In a second case a direction is added that all rows share, with lengths of its own; queries are rows, and vectors
that have nothing of that direction, which are the hardest for codes. Both indexes hold the same fp16 rows; recall is
counted against exact search's ten.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.report import Targets
from byline.api.example import Example
from byline.gradients.outer_products.blocks import Block
from byline.gradients.report import ParameterReport
from byline.index.contents import IndexContents
from byline.index.fingerprint import Fingerprint
from byline.index.index import AttributionIndex
from byline.index.layout import MemberLayout, StorageOptions, TaskRecord
from byline.index.writer import write_index
from byline.recipes import recipe
from byline.search.recall import measure_recall
from byline.search.searcher import Searcher

BLOCK = 4_096
TOP = 10


SHARED = 3.0
"""Length of the direction that rows of the second case share; without it half of them are shorter than 1."""


@dataclass(frozen=True)
class Outcome:
    """One search over all queries."""

    median_ms: float
    rows: list[list[int]]
    scanned: float
    told: float


def gradient_like(rows: int, width: int, seed: int) -> NDArray[np.float32]:
    """Draw vectors [rows, width]: power-law spectrum, heavy-tailed (log-normal) lengths."""
    generator = np.random.default_rng(seed)
    spectrum = (np.arange(1, width + 1) ** -0.5).astype(np.float32)
    vectors = generator.standard_normal((rows, width), dtype=np.float32) * spectrum
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors * np.exp(generator.standard_normal((rows, 1), dtype=np.float32))


def with_shared(rows: int, width: int, seed: int) -> NDArray[np.float32]:
    """Draw the same, with a direction that all rows share at lengths of their own."""
    generator = np.random.default_rng([seed, 1])
    lengths = SHARED * np.exp(0.3 * generator.standard_normal((rows, 1), dtype=np.float32))
    return gradient_like(rows, width, seed) + lengths * shared(width)


def shared(width: int) -> NDArray[np.float32]:
    """Draw the shared direction, of length one."""
    drawn = np.random.default_rng(3).standard_normal(width, dtype=np.float32)
    return drawn / np.linalg.norm(drawn)


Draw = Callable[[int, int, int], NDArray[np.float32]]


def contents(rows: int, width: int, search: str, draw: Draw = gradient_like) -> IndexContents:
    """Describe a build of `rows` vectors that are drawn block by block."""

    def blocks() -> Iterator[NDArray[np.float32]]:
        for number, start in enumerate(range(0, rows, BLOCK)):
            yield draw(min(BLOCK, rows - start), width, 1_000 + number)

    options = StorageOptions.model_validate({"search": search})
    method = recipe("grad_dot")
    return IndexContents(
        recipe=method,
        fingerprint=Fingerprint.of(
            recipe=method, weights=["-"], data=f"{rows}x{width}", task="-", storage=options, build={}
        ),
        task=TaskRecord(reference="benchmarks/search.py", digest="-", name="search"),
        blocks=(Block(name="w", parameters=("w",), shapes=((4, 3),), form="matrix"),),
        parameters=ParameterReport(attributed=("w",)),
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
    times, rows, certainties = [], [], []
    for query in queries:
        start = time.perf_counter()
        hits = searcher.search(query[None], TOP)
        times.append(1_000 * (time.perf_counter() - start))
        rows.append(hits.rows_QK[0].tolist())
        certainties += hits.certainties_Q
    return Outcome(
        median(times),
        rows,
        float(np.mean([each.exact for each in certainties])),
        float(np.mean([each.expected_recall for each in certainties])),
    )


def compare(
    sizes: tuple[int, int], draw: Draw, queries: Mapping[str, NDArray[np.float32]]
) -> dict[str, tuple[float, float]]:
    """Build both indexes, print a row for each kind of query and way to search.

    Returns:
        Kind of query -> (times faster, recall@10) of compressed search.
    """
    found: dict[str, tuple[float, float]] = {}
    exact: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory() as folder:
        for search in ("exact", "compressed"):
            start = time.perf_counter()
            path = write_index(
                contents(*sizes, search, draw), Path(folder, search), measure_recall=measure_recall
            )
            seconds = time.perf_counter() - start
            megabytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
            with AttributionIndex.open(path) as index:
                for kind, asked in queries.items():
                    this = ask(index, asked)
                    exact.setdefault(kind, this)
                    faster = exact[kind].median_ms / this.median_ms
                    common = [len(set(a) & set(b)) for a, b in zip(exact[kind].rows, this.rows, strict=True)]
                    found[kind] = faster, sum(common) / (TOP * len(asked))
                    print(
                        f"{kind:<34}{search:<11}{seconds:>8.1f}{megabytes:>6.0f}{this.median_ms:>10.2f}{faster:>7.1f}x"
                        f"{found[kind][1]:>11.4f}{this.told:>8.5f}{this.scanned:>9.2f}"
                    )
    return found


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
    own, hard = gradient_like(count, width, 7), gradient_like(count, width, 8)
    hard -= np.outer(hard @ shared(width), shared(width))
    print(f"{rows:,} rows x {width:,}, {count} queries one at a time, one thread, top {TOP}\n")
    print(
        f"{'queries':<34}{'search':<11}{'build s':>8}{'MB':>6}{'ms/query':>10}{'faster':>8}{'recall@10':>11}"
        f"{'told':>8}{'scanned':>9}"
    )
    plain = compare((rows, width), gradient_like, {"gradient-like": own})
    common = compare(
        (rows, width),
        with_shared,
        {"shared direction, as the rows": with_shared(count, width, 7), "shared direction, orthogonal": hard},
    )
    if options.smoke:
        return 0
    targets = Targets()
    targets.at_least("compressed over exact, times faster", plain["gradient-like"][0], 5)
    for kind, (_, recall) in (plain | common).items():
        targets.at_least(f"recall@10, {kind}", recall, 0.999)
    return targets.exit_code()


if __name__ == "__main__":
    raise SystemExit(main())
