"""Declared recall against a float64 scan of the same queries."""

from pathlib import Path

import faiss
import numpy as np
import pytest

from byline.index.index import AttributionIndex
from byline.index.writer import write_index
from byline.search.query_kinds import query_kinds
from byline.search.recall import measure_recall
from tests.byline.index.building import build, contents_of
from tests.byline.search.kinds_of_rows import rows_of

pytestmark = pytest.mark.search


@pytest.mark.parametrize("kind", ["heavy", "common"])
def test_the_recall_of_plain_faiss_is_declared(tmp_path: Path, kind: str) -> None:
    features = rows_of(kind, 3_000, 48)
    index = build(tmp_path / "v", features, search="compressed")
    stored = index.vectors.gather(np.arange(3_000)).astype(np.float64)
    codes, factor = index.codes(), index.manifest.search.rescore_factor
    assert codes is not None
    assert factor is not None
    kinds = query_kinds(index.vectors, index.manifest.stretches, codes.centre_K, 0, {})
    for record in index.manifest.search.recall:
        queries = np.concatenate([kinds[record.kind], -kinds[record.kind]])
        found = []
        for query in queries:
            _, rows = index.search_file.candidates(query[None], min(10 * factor, 3_000))
            best = np.argsort(-(stored @ query.astype(np.float64)))[:10]
            found.append(len(set(best.tolist()) & set(rows.tolist())) / 10)
        assert record.rankings == len(queries)
        assert record.plain_recall_at_10 == pytest.approx(np.mean(found), abs=0.002)
        assert record.recall_at_10 >= 0.999


def test_real_queries_are_measured_by_target(tmp_path: Path) -> None:
    features = rows_of("common", 3_000, 48)
    contents = contents_of(features, search="compressed")
    real = {"loss": features[:7], "margin": rows_of("gauss", 5, 48)}
    object.__setattr__(contents, "queries", lambda: real)
    index = AttributionIndex.open(write_index(contents, tmp_path / "v", measure_recall=measure_recall))
    declared = {record.kind: record.rankings for record in index.manifest.search.recall}
    assert declared == {
        "training rows": 64,
        "random": 32,
        "orthogonal to the mean row": 32,
        "target loss": 14,
        "target margin": 10,
    }


def test_the_file_of_an_exact_index_declares_nothing(tmp_path: Path) -> None:
    record = build(tmp_path / "v", rows_of("heavy", 50, 8)).manifest.search
    assert (record.recall, record.recall_at_10, record.rescore_factor) == ((), None, None)
    assert isinstance(faiss.read_index(str(tmp_path / "v" / "search.faiss")), faiss.IndexScalarQuantizer)
