"""Write `search.faiss` and, for compressed search, the columns that describe its codes.

Legend: B rows of a block, R rows of the index, K numbers of a vector.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byline.errors import BuildFailed
from byline.index import faiss_file
from byline.index.codes import FIRST_FACTOR, Codes, RecallMeasurement
from byline.index.contents import IndexContents
from byline.index.durable import durable_file
from byline.index.layout import CODE_CENTRE, CODE_LOSSES, SEARCH, StorageOptions, Stretch, block_rows
from byline.index.manifest import SearchRecord
from byline.index.vectors import VectorRows

Progress = Callable[[str, int, int], None]


def write_search(
    contents: IndexContents,
    stretches: tuple[Stretch, ...],
    vectors: VectorRows,
    work: Path,
    progress: Progress | None,
    measure_recall: RecallMeasurement | None,
) -> SearchRecord:
    """Write the search file of finished vectors.

    Args:
        contents: The finished build.
        stretches: With their scale exponents.
        vectors: The stored rows.
        work: The index's directory.
        progress: Called after every block.
        measure_recall: Measures the recall of compressed search. Exact search needs none.

    Returns:
        How the file is to be searched, and what was measured about it.

    Raises:
        IncompatibleIndex: The installed FAISS has another layout.
        BuildFailed: The search is compressed, and nothing measures its recall.
    """
    storage, report = contents.storage, progress or _no_progress
    rows = _StoredRows(vectors)
    if storage.search == "exact":
        with durable_file(work / SEARCH) as file:
            _report(_flat(file, rows, storage), "search", vectors.rows, report)
        return SearchRecord(max_norm=rows.max_norm)
    if measure_recall is None:
        raise BuildFailed(
            "expected a measurement of recall for storage.search = 'compressed', got None: pass "
            "measure_recall=byline.search.recall.measure_recall"
        )
    coded = _CentredRows(rows, _centre(vectors), storage.seed)
    _write_compressed(coded, storage, work, report)
    codes = _opened(coded, storage, work)
    queries = {} if contents.queries is None else contents.queries()
    recall = measure_recall(codes, vectors, stretches, seed=storage.seed, queries=queries, progress=report)
    if not codes.decoded:
        faiss_file.patch_factor(work / SEARCH, recall.plain_factor)
    return SearchRecord(
        max_norm=rows.max_norm,
        rescore_factor=None if codes.decoded else recall.plain_factor,
        first_factor=recall.first_factor,
        recall_at_10=recall.lowest,
        recall=recall.kinds,
    )


def _no_progress(step: str, done: int, total: int) -> None:
    """Take reports that nobody reads."""


class _StoredRows:
    """Reads stored vectors into the same room again and again, and notes the longest."""

    def __init__(self, vectors: VectorRows):
        self.vectors = vectors
        self.block = block_rows(vectors.width)
        self.shape = (vectors.rows, vectors.width)
        self.max_norm = 0.0
        self._room_BK = np.empty((min(self.block, vectors.rows), vectors.width), dtype=np.float32)

    def __call__(self, start: int, end: int) -> NDArray[np.float32]:
        """Rows `start` to `end`, float32 [B, K], which hold until the next call."""
        vectors_BK = self.vectors.gather(np.arange(start, end), self._room_BK)
        self.vectors.release()
        squares_B = np.einsum("bk,bk->b", vectors_BK, vectors_BK, dtype=np.float64)
        self.max_norm = max(self.max_norm, float(np.sqrt(squares_B.max())))
        return vectors_BK


class _CentredRows:
    """The same less their mean, as they are coded; notes what their codes lose."""

    def __init__(self, rows: _StoredRows, centre_K: NDArray[np.float32], seed: int):
        self.rows = rows
        self.centre_K = centre_K
        self.losses_R = np.zeros(rows.shape[0], dtype=np.float32)
        self._seed = seed

    def __call__(self, start: int, end: int) -> NDArray[np.float32]:
        """Rows `start` to `end` less the centre, float32 [B, K], which hold until the next call."""
        centred_BK = self.rows(start, end)
        centred_BK -= self.centre_K
        self.losses_R[start:end] = faiss_file.code_losses(centred_BK, self._seed)
        return centred_BK


def _centre(vectors: VectorRows) -> NDArray[np.float32]:
    """Mean of the stored rows, float32 [K]: what they share costs their codes no bits."""
    sums_K = np.zeros(vectors.width)
    for _, vectors_BK in vectors.blocks():
        sums_K += vectors_BK.sum(axis=0, dtype=np.float64)
        vectors.release()
    centre_K: NDArray[np.float32] = (sums_K / vectors.rows).astype(np.float32)
    return centre_K


def _flat(file: Any, rows: _StoredRows, storage: StorageOptions) -> Iterator[int]:
    return faiss_file.write_flat(file, rows, rows.shape, storage.dtype, rows.block)


def _report(steps: Iterator[int], what: str, total: int, report: Progress) -> None:
    for done in steps:
        report(what, done, total)


def _write_compressed(coded: _CentredRows, storage: StorageOptions, work: Path, report: Progress) -> None:
    rows, refined = coded.rows, storage.keep == "rows"
    with durable_file(work / SEARCH) as file:
        if refined:
            file.write(faiss_file.refine_head(rows.shape))
        codes = faiss_file.write_codes(file, coded, rows.shape, storage.seed, rows.block)
        _report(codes, "codes", rows.shape[0], report)
        if refined:
            _report(_flat(file, rows, storage), "search", rows.shape[0], report)
            file.write(faiss_file.refine_tail(1))
    for name, column in ((CODE_CENTRE, coded.centre_K), (CODE_LOSSES, coded.losses_R)):
        with durable_file(work / name) as file:
            np.save(file, column, allow_pickle=False)


def _opened(coded: _CentredRows, storage: StorageOptions, work: Path) -> Codes:
    """The codes as an opened index has them."""
    decoded = storage.keep == "codes"
    source = (
        faiss_file.DecodedCodes(work / SEARCH, storage.seed, coded.centre_K)
        if decoded
        else coded.rows.vectors
    )
    return Codes(
        file=faiss_file.SearchFile(work / SEARCH),
        source=source,
        centre_K=coded.centre_K,
        losses_R=coded.losses_R,
        factor=storage.rescore_factor or FIRST_FACTOR,
        fixed=storage.rescore_factor is not None,
        decoded=decoded,
    )
