"""Write `search.faiss` in blocks, open it, and search it for candidates: the one module that imports FAISS.

Legend: Q queries, K numbers of a vector, C candidates.

FAISS builds an index in memory and then writes it. Here the bytes are written as they come: FAISS serializes
an empty, trained index, the few counts in it are patched, and the codes of one block of rows after another are
put in their place. Before anything is written, the layout is compared with what FAISS itself writes for a few
rows, so that a release with another layout raises instead of leaving a file that only looks right.

The rotation is a Hadamard one: it takes no BLAS, so its bits depend neither on threads nor on the batch, and
its matrix costs no bytes. FastScan loses recall at width (faiss 1.15.1: of 200 candidates, recall@10 at 2,048
dimensions is .93 after a random rotation and 1.00 after a Hadamard one, at 4,096 .59 and .64; its 16-bit sums are
the likely cause), the plain RaBitQ index does not: codes of more than 1,024 dimensions are searched by that one.
"""

# One module of 480 lines, since FAISS is imported in one place and its layout is checked by the code that writes it.

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import faiss
import numpy as np
import torch  # noqa: F401  (before FAISS's first call: the other order can hang in OpenMP)
from numpy.typing import NDArray

from byline.errors import CorruptIndex, IncompatibleIndex

Stored = Literal["fp16", "fp32"]
Rows = Callable[[int, int], NDArray[np.float32]]
"""`rows(start, end)` -> float32 [end - start, K] of stored vectors."""

FASTSCAN_DIMENSIONS = 1024
"""Codes up to this wide are packed for FastScan."""
FASTSCAN_BITS = 8
PLAIN_BITS = 4
"""Bits of a rotated query's numbers when codes are compared."""
QUERY_ROUNDING = {FASTSCAN_BITS: 0.01, PLAIN_BITS: 0.16}
"""Relative error of an estimate by these bits, beside the codes' own: a step of the grid over sqrt(12)."""
KMEANS_PASSES = 20
"""Rounds of k-means."""
_DECODED_BYTES = 1 << 20
_PACK = 32
_HEADER = 37
_REFINE_TAIL = 4
_GPU_MAX_K = 2_048
_GPU_ROUNDING = 2.0**-9


def version() -> str:
    """Read the version of the FAISS library."""
    return str(faiss.__version__)


@dataclass(frozen=True)
class _Template:
    """A serialized empty index and how to make a full one of it."""

    empty: bytes
    codes_at: int
    """Offset of the codes."""
    counts: tuple[tuple[int, Callable[[int], int]], ...]
    """(offset of an int64, its value for a number of rows)."""
    code_bytes: Callable[[int], int]
    """Bytes of the codes of a number of rows."""

    def head(self, rows: int) -> bytes:
        """Make the bytes before the codes of this many rows."""
        head = bytearray(self.empty[: self.codes_at])
        for offset, value in self.counts:
            struct.pack_into("<q", head, offset, value(rows))
        return bytes(head)

    @property
    def tail(self) -> bytes:
        """Bytes after the codes."""
        return self.empty[self.codes_at :]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep FAISS's sums in one order. The setting is the calling thread's own."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _serialised(index: Any) -> bytes:
    return bytes(faiss.serialize_index(index).tobytes())


def _empty_flat(width: int, stored: Stored) -> Any:
    if stored == "fp32":
        return faiss.IndexFlatIP(width)
    return faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


def _flat_template(width: int, stored: Stored) -> _Template:
    empty = _serialised(_empty_flat(width, stored))
    unit = 4 if stored == "fp32" else 1  # of the length: floats in one, bytes in the other

    def code_bytes(rows: int) -> int:
        return rows * width * (4 if stored == "fp32" else 2)

    counts = ((8, lambda rows: rows), (len(empty) - 8, lambda rows: code_bytes(rows) // unit))
    return _Template(empty, len(empty), counts, code_bytes)


def _empty_codes(width: int, seed: int) -> Any:
    """An untrained `IndexPreTransform(Hadamard rotation, RaBitQ)`."""
    rotation = faiss.HadamardRotation(width, seed)
    if rotation.d_out <= FASTSCAN_DIMENSIONS:
        codes: Any = faiss.IndexRaBitQFastScan(rotation.d_out, faiss.METRIC_INNER_PRODUCT)
        codes.qb = FASTSCAN_BITS
    else:
        codes = faiss.IndexRaBitQ(rotation.d_out, faiss.METRIC_INNER_PRODUCT)
        codes.qb = PLAIN_BITS
    return faiss.IndexPreTransform(rotation, codes)


def _codes_template(trained: Any) -> _Template:
    empty = _serialised(trained)
    codes: Any = faiss.downcast_index(trained.index)
    inner = len(empty) - len(_serialised(codes))
    size = int(codes.code_size)
    fast = isinstance(codes, faiss.IndexRaBitQFastScan)
    if not fast:
        length = inner + _HEADER + 20
        plain = ((8, _same), (inner + 8, _same), (length, lambda rows: rows * size))
        return _Template(empty, length + 8, plain, lambda rows: rows * size)
    stride = int(codes.get_block_stride())
    end = len(empty)

    def padded(rows: int) -> int:
        return -(-rows // _PACK) * _PACK

    def code_bytes(rows: int) -> int:
        return padded(rows) // _PACK * stride

    packed = ((8, _same), (inner + 8, _same), (end - 32, padded), (end - 8, code_bytes))
    return _Template(empty, end, packed, code_bytes)


def _same(rows: int) -> int:
    return rows


def _codes_of(index: Any, template: _Template, rows: NDArray[np.float32]) -> bytes:
    """Codes of a block: FAISS encodes it, and the bytes are cut out of what it would write."""
    index.reset()
    index.add(np.ascontiguousarray(rows))
    whole = _serialised(index)
    index.reset()
    return whole[template.codes_at : template.codes_at + template.code_bytes(len(rows))]


def _flat_bytes(rows: NDArray[np.float32], stored: Stored) -> bytes:
    return bytes(rows.astype(np.float16 if stored == "fp16" else np.float32).tobytes())


def _require(*, same: bool) -> None:
    if not same:
        raise IncompatibleIndex(
            f"FAISS {version()} writes indexes in another layout than this release of Byline knows: "
            "install a FAISS that pyproject.toml allows"
        )


def _check_flat(template: _Template, width: int, stored: Stored) -> None:
    # Numbers that fp16 holds exactly: FAISS and numpy may round others differently.
    probe_NK = (np.arange(3 * width, dtype=np.float32) % 2048 - 1024).reshape(3, width)
    expected = _empty_flat(width, stored)
    expected.add(probe_NK)
    made = template.head(3) + _flat_bytes(probe_NK, stored) + template.tail
    _require(same=made == _serialised(expected))


def _check_codes(index: Any, template: _Template, rows: NDArray[np.float32]) -> None:
    """Two blocks put together here must be what FAISS writes for both, the last one not full."""
    parts = [rows[:_PACK], rows[_PACK:]]
    made = template.head(len(rows)) + b"".join(
        _codes_of(index, template, part) for part in parts if len(part)
    )
    made += template.tail
    index.reset()
    index.add(np.ascontiguousarray(rows))
    expected = _serialised(index)
    index.reset()
    _require(same=made == expected)


def write_flat(
    file: BinaryIO, rows: Rows, shape: tuple[int, int], stored: Stored, block: int
) -> Iterator[int]:
    """Write all stored vectors as a flat inner-product index.

    Args:
        file: Open for writing. The index is appended.
        rows: Reads stored vectors.
        shape: (R, K).
        stored: fp16 becomes `IndexScalarQuantizer`, fp32 `IndexFlatIP`.
        block: Rows to hold at a time.

    Yields:
        The number of rows that are written.

    Raises:
        IncompatibleIndex: The installed FAISS has another layout.
    """
    count, width = shape
    template = _flat_template(width, stored)
    _check_flat(template, width, stored)
    file.write(template.head(count))
    for start in range(0, count, block):
        end = min(start + block, count)
        file.write(_flat_bytes(rows(start, end), stored))
        yield end
    file.write(template.tail)


def write_codes(file: BinaryIO, rows: Rows, shape: tuple[int, int], seed: int, block: int) -> Iterator[int]:
    """Write 1-bit codes of vectors: a rotation, then RaBitQ, FastScan where it is exact enough.

    Args:
        file: Open for writing. The index is appended.
        rows: Reads stored vectors less their centre.
        shape: (R, K).
        seed: Seed of the rotation.
        block: Rows to hold at a time, a multiple of 32.

    Yields:
        The number of rows that are written.

    Raises:
        IncompatibleIndex: The installed FAISS has another layout.
    """
    count, width = shape
    with _one_thread():
        index = _empty_codes(width, seed)
        # RaBitQ would subtract a mean from rows and query alike: a short query then drowns in it (recall@10 of .3 on
        # our vectors). Rows come less their centre, whose product with a query changes no ranking; a mean of zero
        # leaves every query its own bits.
        index.train(np.zeros((1, width), dtype=np.float32))
        template = _codes_template(index)
        _check_codes(index, template, rows(0, min(count, _PACK + 1)))
    file.write(template.head(count))
    for start in range(0, count, block):
        end = min(start + block, count)
        with _one_thread():
            codes = _codes_of(index, template, rows(start, end))
        file.write(codes)
        yield end
    file.write(template.tail)


def code_losses(rows_BK: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Compute the length of what the codes of some rows lose.

    A code decodes to the signs s of the D rotated numbers y, as long as makes their product with y right:
    s |y|^2 / |y|_1. What is lost is orthogonal to y, of length |y| sqrt(1 / c^2 - 1) with the cosine
    c = |y|_1 / (sqrt(D) |y|). Rounding a query to a few bits adds a part of |y|.

    Args:
        rows_BK: Rows less the centre, float32 [B, K].
        seed: Seed of the rotation.

    Returns:
        float32 [B].
    """
    rotation = faiss.HadamardRotation(rows_BK.shape[1], seed)
    dimensions = int(rotation.d_out)
    rounding = QUERY_ROUNDING[FASTSCAN_BITS if dimensions <= FASTSCAN_DIMENSIONS else PLAIN_BITS]
    losses_B = np.empty(len(rows_BK), dtype=np.float32)
    step = max(1, _DECODED_BYTES // (4 * dimensions))
    for start in range(0, len(rows_BK), step):
        with _one_thread():
            rotated = rotation.apply(np.ascontiguousarray(rows_BK[start : start + step]))
        lengths = np.linalg.norm(rotated.astype(np.float64), axis=1)
        sums = np.abs(rotated).sum(axis=1, dtype=np.float64)
        cosines = np.divide(sums, lengths * np.sqrt(dimensions), out=np.ones_like(sums), where=lengths > 0)
        lost = np.maximum(1 / np.square(cosines) - 1, 0) + rounding**2
        losses_B[start : start + step] = lengths * np.sqrt(lost)
    return losses_B


def refine_head(shape: tuple[int, int]) -> bytes:
    """Make the first bytes of an `IndexRefine`: its codes, its flat index and `refine_tail` follow.

    Raises:
        IncompatibleIndex: The installed FAISS has another layout.
    """
    count, width = shape
    base, flat = faiss.IndexFlatIP(width), faiss.IndexFlatIP(width)
    refine = faiss.IndexRefine(base, flat)
    refine.k_factor = 1.0
    whole, part = _serialised(refine), _serialised(base)
    _require(same=whole[_HEADER:] == part + part + refine_tail(1) and whole[:4] == b"IxRF")
    head = bytearray(whole[:_HEADER])
    struct.pack_into("<q", head, 8, count)
    return bytes(head)


def refine_tail(factor: int) -> bytes:
    """Make the last bytes of an `IndexRefine`: candidates for each result."""
    return struct.pack("<f", factor)


def patch_factor(path: Path, factor: int) -> None:
    """Set the number of candidates for each result in a finished file with codes and rows."""
    with path.open("r+b") as file:
        file.seek(-_REFINE_TAIL, 2)
        file.write(refine_tail(factor))


class SearchFile:
    """An opened `search.faiss`: rows stay memory-mapped, codes are held in memory."""

    def __init__(self, path: Path):
        try:
            self._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise CorruptIndex(f"{path}: FAISS cannot read it: restore or rebuild the index") from error
        self._codes: Any = None
        self._flat: Any = None
        if isinstance(self._index, faiss.IndexRefine):
            self._codes = self._index.base_index
            self._flat = self._index.refine_index
        elif isinstance(self._index, faiss.IndexPreTransform):
            self._codes = self._index
        else:
            self._flat = self._index

    @property
    def shape(self) -> tuple[int, int]:
        """(R, K)."""
        return int(self._index.ntotal), int(self._index.d)

    @property
    def code_dimensions(self) -> int:
        """D, the bits of a code."""
        rotated: Any = faiss.downcast_index(self._codes)
        return int(rotated.index.d)

    def candidates(
        self, query_1K: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the rows with the largest estimated scores by the codes, in one thread.

        Args:
            query_1K: float32 [1, K].
            count: C.

        Returns:
            (estimates float32 [C], rows int64 [C]), the best first.
        """
        return self._search(self._codes, query_1K, count)

    def nearest(
        self, query_1K: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the rows with the largest float32 scores by the stored rows. Arguments and results as in `candidates`."""
        return self._search(self._flat, query_1K, count)

    @staticmethod
    def _search(
        index: Any, query_1K: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        with _one_thread():
            scores_1C, rows_1C = index.search(query_1K, count)
        found = rows_1C[0] >= 0
        return scores_1C[0][found], rows_1C[0][found]


def flat_offset(width: int, stored: Stored) -> int:
    """Byte of an exact `search.faiss` at which the first row begins: the rows can be mapped from there."""
    return _flat_template(width, stored).codes_at


class DecodedCodes:
    """Vectors rebuilt from 1-bit codes: approximate, for indexes that keep nothing else."""

    def __init__(self, path: Path, seed: int, centre_K: NDArray[np.float32]):
        """Read the codes.

        Args:
            path: The file.
            seed: Seed of the rotation.
            centre_K: Vector that was subtracted from every row before it was coded, float32 [K].
        """
        self._centre_K = centre_K
        self._index = cast(Any, faiss.read_index(str(path)))
        self._inner: Any = faiss.downcast_index(self._index.index)
        self.rows, self.width = int(self._index.ntotal), int(self._index.d)
        # FAISS undoes square rotations only; the padded one is the same map with zeros appended.
        self._rotation = faiss.HadamardRotation(int(self._inner.d), seed)

    def gather(self, rows: NDArray[np.int64], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Rebuild rows in any order. Arguments and results as in `VectorRows.gather`."""
        decoded_NK = np.empty((len(rows), self.width), np.float32) if out is None else out[: len(rows)]
        step = max(1, _DECODED_BYTES // (4 * int(self._inner.d)))
        with _one_thread():
            for start in range(0, len(rows), step):
                chosen = np.ascontiguousarray(rows[start : start + step], dtype=np.int64)
                rotated = self._inner.reconstruct_batch(chosen)
                part = self._rotation.reverse_transform(rotated)[:, : self.width]
                np.add(part, self._centre_K, out=decoded_NK[start : start + len(chosen)])
        return decoded_NK


class GpuRows:
    """Stored vectors on a GPU, for candidates of exact search. Final scores never come from here."""

    ROUNDING = _GPU_ROUNDING
    """Relative rounding of a score: queries are rounded to fp16, and products may be taken in TF32."""
    MAX_K = _GPU_MAX_K

    def __init__(self, blocks: Iterator[NDArray[np.float32]], width: int, stored: Stored):
        self._resources = faiss.StandardGpuResources()
        settings = faiss.GpuIndexFlatConfig()
        settings.useFloat16 = stored == "fp16"
        self._index = faiss.GpuIndexFlatIP(self._resources, width, settings)
        for block_BK in blocks:
            self._index.add(np.ascontiguousarray(block_BK))

    def nearest(
        self, queries_QK: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the rows with the largest scores: (float32 [Q, C], int64 [Q, C])."""
        scores_QC, rows_QC = self._index.search(queries_QK, count)
        return scores_QC, rows_QC


def gpu_count() -> int:
    """Count the GPUs that FAISS can use. With faiss-cpu there are none."""
    return int(faiss.get_num_gpus())


def set_threads(threads: int) -> None:
    """Set how many threads FAISS starts for a search. Answers do not depend on it."""
    faiss.omp_set_num_threads(threads)


class Clusters:
    """Centres of k-means, and which of them is nearest."""

    def __init__(self, centres_JD: NDArray[np.float32]) -> None:
        self._flat = faiss.IndexFlatL2(centres_JD.shape[1])
        self._flat.add(centres_JD)

    @classmethod
    def found_on(cls, vectors_ND: NDArray[np.float32], count: int, seed: int) -> "Clusters":
        """Find centres by k-means.

        Args:
            vectors_ND: Vectors to cluster, at least as many as there are centres.
            count: Number of centres.
            seed: Seed of the start.
        """
        kmeans = faiss.Kmeans(
            vectors_ND.shape[1],
            count,
            niter=KMEANS_PASSES,
            seed=seed + 1,
            min_points_per_centroid=1,
            max_points_per_centroid=1 << 20,
        )
        with _one_thread():
            kmeans.train(np.ascontiguousarray(vectors_ND, dtype=np.float32))
        return cls(np.asarray(kmeans.centroids, dtype=np.float32))

    def nearest(self, vectors_ND: NDArray[np.float32]) -> NDArray[np.int64]:
        """Find the number of the nearest centre of every vector."""
        found: NDArray[np.int64] = self._flat.search(np.ascontiguousarray(vectors_ND, dtype=np.float32), 1)[1]
        return found[:, 0]
