"""Equal rows come back in the order of rows, however many lie at the boundary."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byline.search.candidates import Shortlist
from byline.search.searcher import Searcher
from tests.byline.index.building import build, heavy_tailed

pytestmark = pytest.mark.search

COPIES = 900
STORAGES: list[dict[str, Any]] = [
    {"search": "exact"},
    {"search": "exact", "keep": "codes"},
    {"search": "compressed", "shard_rows": 1000},
]


@pytest.mark.parametrize("storage", STORAGES, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("better", [0, 4])
def test_duplicates_at_the_boundary(tmp_path: Path, storage: dict[str, Any], better: int) -> None:
    features = heavy_tailed(8_000, 40) * 0.1
    query = heavy_tailed(1, 40, seed=3)
    copies = np.sort(np.random.default_rng(5).choice(8_000, COPIES, replace=False))
    features[copies] = query * 2
    others = np.setdiff1d(np.arange(8_000), copies)[[5, 1500, 3000, 7000]][:better]
    features[others] = query * np.arange(4, 4 + better)[:, None]
    searcher = Searcher(build(tmp_path / "v", features, **storage))
    expected = [*others[::-1], *copies]
    for k in (1, 3, 10, 200, COPIES + better):
        assert searcher.search(query, k).rows_QK[0].tolist() == expected[:k]
        assert searcher.search(-query, k, opponents=True).rows_QK[0].tolist() == expected[:k]
        batch = searcher.search(np.repeat(query, 5, axis=0), k)
        assert batch.rows_QK.tolist() == [expected[:k]] * 5


@pytest.mark.parametrize("search", ["exact", "compressed"])
def test_an_index_of_equal_rows(tmp_path: Path, search: str) -> None:
    features = np.repeat(heavy_tailed(1, 24), 40_000, axis=0)
    searcher = Searcher(build(tmp_path / "v", features, search=search))
    for count in (1, 3):
        hits = searcher.search(heavy_tailed(count, 24, seed=2), 12)
        assert hits.rows_QK.tolist() == [list(range(12))] * count
        assert np.ptp(hits.scores_QK, axis=1).tolist() == [0.0] * count


@settings(deadline=None, max_examples=200)
@given(
    scores=st.lists(st.integers(-6, 6), min_size=1, max_size=120),
    k=st.integers(1, 30),
    step=st.integers(1, 50),
    seed=st.integers(0, 2**31),
)
def test_a_shortlist_loses_no_row_within_the_error(scores: list[int], k: int, step: int, seed: int) -> None:
    exact_N = np.array(scores, dtype=np.float64)
    error = 1.5
    noise_N = np.random.default_rng(seed).uniform(-error, error, len(scores))
    shortlist = Shortlist(min(k, len(scores)), error, lambda rows: exact_N[rows][:, None])
    for start in range(0, len(scores), step):
        rows = np.arange(start, min(start + step, len(scores)))
        shortlist.offer(rows, (exact_N + noise_N)[rows].astype(np.float32))
    rows, parts = shortlist.finish()
    expected = np.lexsort((np.arange(len(scores)), -exact_N))[:k]
    assert rows.tolist() == expected.tolist()
    assert parts[:, 0].tolist() == exact_N[expected].tolist()
