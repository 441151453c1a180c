"""What codes miss, what they say that they miss, and what an exact float64 scan finds."""

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from byline.index import faiss_file
from byline.index.index import AttributionIndex
from byline.search.codes import CodeSearch
from byline.search.scores import normalize_queries
from byline.search.searcher import Searcher
from tests.byline.index.building import build
from tests.byline.search.kinds_of_rows import KINDS, queries_for, recalls, rows_of

pytestmark = pytest.mark.search
ROWS, WIDTH, QUERIES = 6_000, 64, 20


def stored_rows(index: AttributionIndex) -> NDArray[np.float64]:
    return index.vectors.gather(np.arange(index.rows)).astype(np.float64)


def measured_and_told(
    index: AttributionIndex, stored: NDArray[np.float64], queries: NDArray[np.float32]
) -> tuple[float, float]:
    searcher, found, told = Searcher(index, threads=1), [], []
    for opponents in (False, True):
        hits = searcher.search(queries, 10, opponents=opponents)
        found.append(recalls(index, stored, queries, hits.rows_QK, opponents=opponents))
        told += [certainty.expected_recall for certainty in hits.certainties_Q]
    return float(np.concatenate(found).mean()), float(np.mean(told))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_query_finds_the_best_rows(tmp_path: Path, kind: str) -> None:
    features = rows_of(kind, ROWS, WIDTH)
    index = build(tmp_path / "v", features, search="compressed")
    stored = stored_rows(index)
    for name, queries in queries_for(features, QUERIES).items():
        measured, told = measured_and_told(index, stored, queries)
        assert measured >= 0.999, name
        assert 0.9999 <= told <= measured + 0.001, name
    assert min(record.recall_at_10 for record in index.manifest.search.recall) >= 0.999


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{"rescore_factor": 3}, {"rescore_factor": 20}, {"keep": "codes"}])
def test_what_is_told_without_widening_is_no_more_than_what_is_found(
    tmp_path: Path, kind: str, options: dict[str, Any]
) -> None:
    features = rows_of(kind, ROWS, WIDTH)
    whole = build(tmp_path / "rows", features)
    stored = stored_rows(whole)
    index = build(tmp_path / "v", features, search="compressed", **options)
    for name, queries in queries_for(features, QUERIES).items():
        measured, told = measured_and_told(index, stored, queries)
        assert told <= measured + 0.02, (name, measured, told)


def test_a_low_recall_is_declared_for_its_kind(tmp_path: Path) -> None:
    index = build(tmp_path / "v", rows_of("common", ROWS, WIDTH), search="compressed", rescore_factor=20)
    declared = {record.kind: record.recall_at_10 for record in index.manifest.search.recall}
    assert declared["training rows"] > 0.99
    assert declared["orthogonal to the mean row"] < 0.5
    assert index.manifest.search.recall_at_10 == min(declared.values())


def test_easy_queries_take_few_candidates_and_hard_ones_a_scan(tmp_path: Path) -> None:
    features = rows_of("common", ROWS, WIDTH)
    searcher = Searcher(build(tmp_path / "v", features, search="compressed"))
    queries = queries_for(features, QUERIES)
    easy = searcher.search(queries["rows"], 10).certainties_Q
    hard = searcher.search(queries["orthogonal"], 10).certainties_Q
    assert sum(each.exact for each in easy) <= QUERIES / 4
    assert all(each.candidates <= ROWS / 8 for each in easy if not each.exact)
    assert all(each.exact and each.candidates == ROWS for each in hard)


def test_a_filter_is_an_exact_scan(tmp_path: Path) -> None:
    features = rows_of("heavy", ROWS, WIDTH)
    searcher = Searcher(build(tmp_path / "v", features, search="compressed"))
    (certainty,) = searcher.search(features[:1], 10, rows=np.arange(500)).certainties_Q
    assert (certainty.exact, certainty.candidates, certainty.expected_recall) == (True, 500, 1.0)


@pytest.mark.parametrize("kind", ["gauss", "common", "lognormal", "sparse"])
@pytest.mark.parametrize("width", [40, 1_100])
def test_losses_are_what_codes_lose(kind: str, width: int) -> None:
    features = rows_of(kind, 200, width)
    rotation = faiss.HadamardRotation(width, 5)
    rotated = rotation.apply(features).astype(np.float64)
    # Signs, as long as makes their product with what they stand for right.
    scale = np.square(rotated).sum(axis=1) / np.abs(rotated).sum(axis=1).clip(1e-300)
    lost = np.linalg.norm(rotated - np.where(rotated > 0, 1, -1) * scale[:, None], axis=1)
    rounding = (0.01 if width <= 1_024 else 0.16) * np.linalg.norm(rotated, axis=1)
    np.testing.assert_allclose(
        faiss_file.code_losses(features, 5), np.hypot(lost, rounding), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("width", [64, 300, 1_500])
@pytest.mark.parametrize("scale", [1e-12, 1.0])
def test_errors_of_estimates_are_as_large_as_the_losses_say(tmp_path: Path, width: int, scale: float) -> None:
    features = (rows_of("power", 2_000, width) * scale).astype(np.float32)
    index = build(tmp_path / "v", features, search="compressed", dtype="fp32")
    codes = index.codes()
    assert codes is not None
    search, stored = CodeSearch(codes), stored_rows(index)
    ratios = []
    for query in queries_for(features, 10)["random"]:
        moved_1K, norm_1 = normalize_queries(query[None].astype(np.float64))
        estimates, rows = search._estimates(moved_1K[0], 2_000)
        errors = stored[rows] @ moved_1K[0].astype(np.float64) - estimates
        ratios.append(errors / (codes.losses_R[rows] * norm_1[0] / np.sqrt(codes.file.code_dimensions)))
    found = np.concatenate(ratios)
    assert abs(found.mean()) < 0.1
    assert 0.85 < found.std() < 1.1
    assert np.mean(np.abs(found) > 3) < 0.01


def test_members_of_unlike_scales_are_coded_alike(tmp_path: Path) -> None:
    features = rows_of("lognormal", ROWS, 48)
    features[:, 32:] *= 1e-6
    queries = queries_for(features, QUERIES)["random"]
    queries[:, 32:] *= 1e6
    for stored in ("fp16", "fp32"):
        index = build(tmp_path / stored, features, search="compressed", dtype=stored, widths=(32, 16))
        measured, _ = measured_and_told(index, stored_rows(index), queries)
        assert measured >= 0.999
        assert not any(each.exact for each in Searcher(index).search(queries, 10).certainties_Q)
