"""What is written block by block is, byte for byte, what FAISS writes."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from byline.errors import CorruptIndex, IncompatibleIndex
from byline.index import faiss_file
from byline.search.searcher import Searcher
from tests.byline.index.building import build, heavy_tailed

pytestmark = pytest.mark.search
SHAPES = [(1, 1), (5, 3), (32, 8), (33, 64), (64, 7), (200, 100), (100, 1_500)]


def reader(vectors: Any) -> Callable[[int, int], Any]:
    return lambda start, end: vectors[start:end]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stored", ["fp16", "fp32"])
def test_flat_bytes_are_faiss_own(shape: tuple[int, int], stored: Any) -> None:
    # Stored numbers are fp16 already: how FAISS itself rounds to subnormals does not matter.
    vectors = heavy_tailed(*shape).astype(np.float16).astype(np.float32)
    whole: Any = faiss.IndexFlatIP(shape[1])
    if stored == "fp16":
        whole = faiss.IndexScalarQuantizer(
            shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
    whole.add(vectors)
    file = BytesIO()
    assert list(faiss_file.write_flat(file, reader(vectors), shape, stored, 32))[-1] == shape[0]
    assert file.getvalue() == faiss.serialize_index(whole).tobytes()


@pytest.mark.parametrize("shape", SHAPES)
def test_code_bytes_are_faiss_own(shape: tuple[int, int]) -> None:
    vectors = heavy_tailed(*shape)
    rotation = faiss.HadamardRotation(shape[1], 3)
    fast = rotation.d_out <= faiss_file.FASTSCAN_DIMENSIONS
    codes: Any = (faiss.IndexRaBitQFastScan if fast else faiss.IndexRaBitQ)(
        rotation.d_out, faiss.METRIC_INNER_PRODUCT
    )
    codes.qb = faiss_file.FASTSCAN_BITS if fast else faiss_file.PLAIN_BITS
    whole = faiss.IndexPreTransform(rotation, codes)
    whole.train(np.zeros((1, shape[1]), dtype=np.float32))
    whole.add(vectors)
    file = BytesIO()
    assert list(faiss_file.write_codes(file, reader(vectors), shape, 3, 64))[-1] == shape[0]
    assert file.getvalue() == faiss.serialize_index(whole).tobytes()


def test_a_changed_layout_raises_instead_of_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = heavy_tailed(40, 8)
    serialised = faiss_file._serialised
    monkeypatch.setattr(faiss_file, "_serialised", lambda index: serialised(index) + bytes(8))
    file = BytesIO()
    for steps in (
        faiss_file.write_flat(file, reader(vectors), (40, 8), "fp16", 32),
        faiss_file.write_codes(file, reader(vectors), (40, 8), 0, 32),
    ):
        with pytest.raises(IncompatibleIndex, match="FAISS"):
            list(steps)
    with pytest.raises(IncompatibleIndex, match="FAISS"):
        faiss_file.refine_head((40, 8))
    assert file.getvalue() == b""


def test_a_file_that_faiss_refuses(tmp_path: Path) -> None:
    path = tmp_path / "search.faiss"
    path.write_bytes(b"IxSQ, but no more than that")
    with pytest.raises(CorruptIndex, match=r"search\.faiss"):
        faiss_file.SearchFile(path)


@pytest.mark.parametrize("width", [5, 100, 1_500])
def test_codes_decode_to_something_like_the_rows(tmp_path: Path, width: int) -> None:
    vectors = heavy_tailed(60, width)
    path = tmp_path / "search.faiss"
    with path.open("wb") as file:
        list(faiss_file.write_codes(file, reader(vectors), (60, width), 9, 32))
    decoded = faiss_file.DecodedCodes(path, 9, np.zeros(width, np.float32)).gather(np.array([50, 3, 17]))
    for row, vector in zip(decoded, vectors[[50, 3, 17]], strict=True):
        assert row @ vector > 0.6 * np.linalg.norm(row) * np.linalg.norm(vector)


@pytest.mark.parametrize("width", [1_024, 2_048])
def test_wide_codes_keep_their_recall(tmp_path: Path, width: int) -> None:
    features, queries = heavy_tailed(4_000, width), heavy_tailed(20, width, seed=1)
    index = build(tmp_path / "v", features, search="compressed")
    assert index.manifest.search.rescore_factor == 20
    scores, rows = index.search_file.nearest(queries[:1], 10)
    exact = np.argsort(-(queries @ features.T), axis=1)[:, :10]
    assert rows.tolist() == exact[0].tolist()
    assert scores[0] >= scores[-1]
    found = [index.search_file.candidates(query[None], 200)[1] for query in queries]
    assert all(set(top) <= set(chosen) for top, chosen in zip(exact.tolist(), found, strict=True))


class _RoundingRows:
    """Stands in for a GPU: queries are rounded to fp16 before the product, as cuBLAS does."""

    ROUNDING, MAX_K = faiss_file.GpuRows.ROUNDING, 300

    def __init__(self, vectors: Any):
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)

    def nearest(self, queries_QK: Any, count: int) -> Any:
        return self._index.search(queries_QK.astype(np.float16).astype(np.float32), count)


def test_candidates_of_a_less_exact_device_change_no_bit(tmp_path: Path) -> None:
    features, queries = heavy_tailed(2_000, 32), heavy_tailed(20, 32, seed=1)
    features[500:1_000] = features[0]
    queries[7] = features[0]
    index = build(tmp_path / "v", features)
    searcher, other = Searcher(index), Searcher(index)
    other._gpu = _RoundingRows(index.vectors.gather(np.arange(2_000)))  # type: ignore[assignment]
    for k in (1, 10, 100, 290):
        expected, found = searcher.search(queries, k), other.search(queries, k)
        assert expected.rows_QK.tobytes() == found.rows_QK.tobytes()
        assert expected.scores_QK.tobytes() == found.scores_QK.tobytes()
