"""Every answer against the dense float64 formula over the stored numbers."""

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from byline.api.query import Filter
from byline.errors import InvalidQuery
from byline.index.index import AttributionIndex
from byline.index.layout import scale_exponents
from byline.search.candidates import Hits
from byline.search.searcher import Searcher
from tests.byline.index.building import build, heavy_tailed

pytestmark = pytest.mark.search

STORAGES: list[dict[str, Any]] = [
    {"search": "exact"},
    {"search": "exact", "dtype": "fp32"},
    {"search": "exact", "keep": "codes", "shard_rows": 500},
    {"search": "compressed"},
    {"search": "compressed", "dtype": "fp32", "shard_rows": 333},
]


def reference_scores(index: AttributionIndex, features: NDArray[np.float32]) -> NDArray[np.float64]:
    stored = index.vectors.gather(np.arange(index.rows)).astype(np.float64)
    return np.ldexp(features.astype(np.float64), -scale_exponents(index.members)) @ stored.T


def reference_rows(scores: NDArray[np.float64], k: int, *, opponents: bool = False) -> NDArray[np.int64]:
    keys = scores if opponents else -scores
    return np.stack([np.lexsort((np.arange(scores.shape[1]), row))[:k] for row in keys])


def same(left: Hits, right: Hits) -> bool:
    return (
        left.rows_QK.tobytes() == right.rows_QK.tobytes()
        and left.scores_QK.tobytes() == right.scores_QK.tobytes()
    )


@pytest.fixture(scope="module")
def features() -> NDArray[np.float32]:
    return heavy_tailed(3_000, 48)


@pytest.fixture(scope="module")
def queries() -> NDArray[np.float32]:
    return heavy_tailed(9, 48, seed=1)


@pytest.fixture(scope="module", params=STORAGES, ids=lambda s: "-".join(map(str, s.values())))
def index(request: Any, tmp_path_factory: Any, features: NDArray[np.float32]) -> AttributionIndex:
    path = tmp_path_factory.mktemp("index") / "v"
    return build(path, features, widths=(32, 16), **request.param)


@pytest.mark.parametrize("opponents", [False, True])
@pytest.mark.parametrize("k", [1, 10, 400])
def test_hits_are_the_dense_formulas(index: Any, queries: Any, k: int, opponents: bool) -> None:
    expected = reference_scores(index, queries)
    hits = Searcher(index).search(queries, k, opponents=opponents)
    rows = reference_rows(expected, k, opponents=opponents)
    np.testing.assert_array_equal(hits.rows_QK, rows)
    np.testing.assert_allclose(hits.scores_QK, np.take_along_axis(expected, rows, 1), rtol=1e-12, atol=1e-15)
    assert all(each.expected_recall >= 0.9999 for each in hits.certainties_Q)
    exact = index.manifest.storage.search == "exact"
    assert all(each.exact and each.candidates == index.rows for each in hits.certainties_Q) or not exact


def test_stored_numbers_are_the_features(index: Any, features: Any, queries: Any) -> None:
    dense = queries.astype(np.float64) @ features.T.astype(np.float64)
    tolerance = 1e-6 if index.manifest.storage.dtype == "fp32" else 1e-3
    bound = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(features, axis=1)
    assert (np.abs(reference_scores(index, queries) - dense) <= tolerance * bound).all()


def test_bits_do_not_depend_on_batch_or_threads(index: Any, queries: Any) -> None:
    whole = Searcher(index, threads=1).search(queries, 20)
    single = [Searcher(index, threads=2).search(query[None], 20) for query in queries]
    threaded = Searcher(index, threads=3).search(queries, 20)
    assert same(whole, threaded)
    assert whole.rows_QK.tolist() == [hits.rows_QK[0].tolist() for hits in single]
    assert whole.scores_QK.tobytes() == b"".join(hits.scores_QK.tobytes() for hits in single)


def test_torch_threads_change_nothing(index: Any, queries: Any) -> None:
    before = torch.get_num_threads()
    answers = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        answers.append(Searcher(index).search(queries, 20))
    torch.set_num_threads(before)
    assert same(*answers)


def test_bits_do_not_depend_on_shards(tmp_path: Path, features: Any, queries: Any) -> None:
    for search in ("exact", "compressed"):
        answers = [
            Searcher(
                build(
                    tmp_path / f"{search}-{rows}",
                    features,
                    search=search,
                    shard_rows=rows,
                    block=block,
                )
            ).search(queries, 20)
            for rows, block in ((4096, 64), (100, 37), (1000, 3000))
        ]
        assert same(answers[0], answers[1])
        assert same(answers[0], answers[2])


def test_filters_come_before_scores(index: Any, queries: Any) -> None:
    expected = reference_scores(index, queries)
    rows = index.examples.rows_matching(Filter(owner=["ada"], label=["3", "4"]))
    for opponents in (False, True):
        hits = Searcher(index).search(queries, 25, opponents=opponents, rows=rows)
        best = rows[reference_rows(expected[:, rows], 25, opponents=opponents)]
        np.testing.assert_array_equal(hits.rows_QK, best)
    assert len(rows) == sum(row % 4 == 0 and row % 5 in {3, 4} for row in range(index.rows))


def test_as_many_hits_as_rows_exist(index: Any, queries: Any) -> None:
    searcher = Searcher(index)
    assert searcher.search(queries[:2], 10_000).rows_QK.shape == (2, index.rows)
    few = searcher.search(queries, 10, rows=np.array([5, 7]))
    assert few.rows_QK.shape == (9, 2)
    assert searcher.search(queries, 10, rows=np.empty(0, dtype=np.int64)).rows_QK.shape == (9, 0)
    assert searcher.search(queries[:0], 10).rows_QK.shape == (0, 10)


def test_a_zero_query_ties_everywhere(index: Any) -> None:
    hits = Searcher(index).search(np.zeros((2, 48), dtype=np.float32), 7)
    np.testing.assert_array_equal(hits.rows_QK, [list(range(7))] * 2)
    assert (hits.scores_QK == 0).all()


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1e30, 3e37])
def test_extreme_queries_rank_like_moderate_ones(index: Any, queries: Any, scale: float) -> None:
    extreme = (queries / np.abs(queries).max() * np.float32(scale)).astype(np.float32)
    rows = reference_rows(reference_scores(index, extreme), 10)
    np.testing.assert_array_equal(Searcher(index).search(extreme, 10).rows_QK, rows)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_queries_that_are_not_finite_are_refused(index: Any, queries: Any, bad: float) -> None:
    broken = queries.copy()
    broken[3, 5] = bad
    searcher = Searcher(index)
    for ask in (
        lambda: searcher.search(broken, 3),
        lambda: searcher.scores(broken),
        lambda: searcher.owner_scores(broken),
    ):
        with pytest.raises(InvalidQuery, match="query 3"):
            ask()


@pytest.mark.parametrize("shape", [(48,), (2, 47), (2, 49), (1, 2, 48)])
def test_queries_of_another_shape_are_refused(index: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidQuery, match="48"):
        Searcher(index).search(np.zeros(shape, dtype=np.float32), 3)


def test_k_and_rows_are_checked(index: Any, queries: Any) -> None:
    searcher = Searcher(index)
    with pytest.raises(InvalidQuery, match="at least 1"):
        searcher.search(queries, 0)
    for rows in ([-1], [3000], [2, 1], [4, 4]):
        with pytest.raises(InvalidQuery, match="rows below 3000"):
            searcher.search(queries, 1, rows=np.array(rows))


def test_member_scores_average_to_the_score(index: Any, queries: Any) -> None:
    searcher = Searcher(index)
    hits = searcher.search(torch.from_numpy(queries), 30, opponents=True)
    parts = searcher.member_scores(queries, hits)
    assert parts.shape == (9, 30, 2)
    np.testing.assert_allclose(parts.mean(axis=2), hits.scores_QK, rtol=1e-13, atol=1e-300)
    alone = queries.copy()
    alone[:, 32:] = 0
    expected = np.take_along_axis(reference_scores(index, alone), hits.rows_QK, 1)
    np.testing.assert_allclose(parts[:, :, 0], 2 * expected, rtol=1e-12, atol=1e-12)


def test_owner_scores_are_sums_over_all_rows(index: Any, queries: Any) -> None:
    scores = reference_scores(index, queries)
    found = Searcher(index).owner_scores(queries).mean(axis=2)
    assert index.owners.names == ("ada", "edsger", "grace")
    for position in range(3):
        owned = np.flatnonzero(np.asarray(index.owners.rows) == position)
        np.testing.assert_allclose(
            found[:, position],
            scores[:, owned].sum(axis=1),
            atol=2e-6 * np.abs(scores[:, owned]).sum(),
        )


def test_all_scores(index: Any, queries: Any, tmp_path: Path) -> None:
    expected = reference_scores(index, queries)
    searcher = Searcher(index)
    np.testing.assert_allclose(searcher.scores(queries), expected, rtol=1e-3, atol=1e-5)
    out = np.lib.format.open_memmap(tmp_path / "scores.npy", "w+", np.float32, expected.shape)
    searcher.scores(queries, out)
    np.testing.assert_array_equal(np.load(tmp_path / "scores.npy"), searcher.scores(queries))


def test_plain_faiss_finds_the_same_rows(index: Any, queries: Any) -> None:
    plain = faiss.read_index(str(index.path / "search.faiss"))
    scores, rows = plain.search(index.query_vectors(queries), 10)
    hits = Searcher(index).search(queries, 10)
    np.testing.assert_array_equal(rows, hits.rows_QK)
    np.testing.assert_allclose(scores, hits.scores_QK, rtol=1e-4, atol=1e-5)


def test_codes_alone_answer_approximately_and_say_so(tmp_path: Path, features: Any, queries: Any) -> None:
    kept = build(tmp_path / "rows", features)
    index = build(tmp_path / "codes", features, search="compressed", keep="codes")
    assert not (index.path / "vectors").exists()
    exact, approximate = Searcher(kept).search(queries, 50), Searcher(index).search(queries, 50)
    measured = index.manifest.search.recall_at_least
    for each in approximate.certainties_Q:
        assert not each.exact
        assert each.expected_recall == measured < 1
    assert not index.exact
    common = [len(set(a) & set(b)) / 50 for a, b in zip(exact.rows_QK, approximate.rows_QK, strict=True)]
    assert np.mean(common) > 0.5
    np.testing.assert_allclose(Searcher(kept).owner_scores(queries), Searcher(index).owner_scores(queries))
    filtered = Searcher(index).search(queries, 5, rows=np.arange(100, 200))
    assert filtered.rows_QK.min() >= 100
    assert filtered.rows_QK.max() < 200
