"""Blocks of rows: the same numbers in the same room, whatever the index's size."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from byline.search.scan import row_blocks
from tests.byline.index.building import build, heavy_tailed

pytestmark = pytest.mark.search

MEASURE = """
import sys
from pathlib import Path
import numpy as np
import torch
from byline.search.searcher import Searcher
from byline.index.index import AttributionIndex

def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

torch.set_num_threads(1)
with AttributionIndex.open(sys.argv[1], verify=False) as index:
    queries = np.random.default_rng(0).standard_normal((4, index.width)).astype(np.float32)
    rows = np.arange(0, index.rows, 2)
    searcher = Searcher(index, threads=1)
    searcher.search(queries[:1], 3)
    before = held()
    for _ in range(3):
        searcher.search(queries, 10)
        searcher.search(queries, 10, rows=rows)
        for _ in searcher.score_blocks(queries):
            pass
        searcher.owner_scores(queries)
    print(held() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
@pytest.mark.parametrize("storage", [{}, {"search": "compressed", "keep": "codes"}])
def test_scans_leave_a_few_blocks_and_not_the_index(tmp_path: Path, storage: dict[str, Any]) -> None:
    width, block = 256, 4
    root = Path(__file__).parents[3]
    # As a service runs: malloc's own thresholds, which keep freed blocks of several megabytes.
    settings = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC")}
    grown = {}
    for rows in (15_000, 60_000):
        index = build(tmp_path / str(rows), heavy_tailed(rows, width), block=2_000, **storage)
        index.close()
        command = [sys.executable, "-c", MEASURE, str(tmp_path / str(rows))]
        done = subprocess.run(
            command,
            cwd=root,
            env={**settings, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        grown[rows] = float(done.stdout)
    # 60,000 rows are 59 MB as float32, 44 more than 15,000; a block is 4, and the allocator keeps a few.
    assert grown[60_000] - grown[15_000] < 4 * block, grown
    assert grown[60_000] < 12 * block, grown


@pytest.mark.parametrize("storage", [{}, {"search": "compressed", "keep": "codes"}])
def test_blocks_are_the_rows_in_one_room(tmp_path: Path, storage: dict[str, Any]) -> None:
    index = build(tmp_path / "v", heavy_tailed(9_000, 20), shard_rows=2_500, **storage)
    source = index.row_source
    for rows in (None, np.arange(0, 9_000, 2)):
        rooms, seen = set(), []
        for rows_B, vectors_BK in row_blocks(source, rows):
            np.testing.assert_array_equal(vectors_BK, source.gather(rows_B))
            rooms.add(vectors_BK.__array_interface__["data"][0])
            seen.append(rows_B)
        assert len(rooms) == 1
        assert np.concatenate(seen).tolist() == (list(range(9_000)) if rows is None else rows.tolist())
