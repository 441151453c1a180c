"""Stored vectors: scaled, written in shards, and read back through memory maps.

Legend: B rows of a block, R rows of the index, K numbers of a vector, M members.
A stored number is feature x row weight x 2^exponent, the exponent being its stretch's.
"""

import math
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from byline.errors import BuildFailed, CorruptIndex, InvalidQuery
from byline.index.durable import durable_file
from byline.index.layout import (
    StorageOptions,
    Stretch,
    block_rows,
    scale_exponents,
    shard_file,
    stretch_slices,
)

Features = Iterator[NDArray[np.float32]]
FP16_TOP_EXPONENT = 15
"""The largest scaled number lies in [2^14, 2^15): fp16 ends at 65,504, so no rounding overflows."""
_GATHER_BYTES = 1 << 20
"""Float32 bytes of the rows that are converted at a time: what gathering holds besides its result."""


class RowSource(Protocol):
    """A source of vectors: memory-mapped rows, or decoded codes."""

    rows: int
    width: int

    def gather(self, rows: NDArray[np.int64], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Read the vectors of these rows, float32 [N, K], at the beginning of `out` where there is one."""


def require_features(features_QK: object, width: int) -> NDArray[np.float32]:
    """Take query features as float32 [Q, K].

    Args:
        features_QK: A tensor or an array.
        width: K.

    Raises:
        InvalidQuery: They have another shape, or a number that is not finite.
    """
    array = np.asarray(features_QK)
    if array.ndim != 2 or array.shape[1] != width:
        raise InvalidQuery(f"expected query features of shape [queries, {width}], got {list(array.shape)}")
    if not np.issubdtype(array.dtype, np.floating):
        raise InvalidQuery(f"expected query features of floating-point numbers, got {array.dtype}")
    with np.errstate(over="ignore"):
        features = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(features).all():
        bad = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
        raise InvalidQuery(f"expected finite query features, got NaN or infinity in query {bad}")
    return features


def unscale_features(features_QK: NDArray[np.float32], stretches: Sequence[Stretch]) -> NDArray[np.float64]:
    """Divide by the scales of the stored numbers, exactly: float64 [Q, K]."""
    return np.ldexp(features_QK.astype(np.float64), -scale_exponents(stretches))


def weighted_blocks(
    features: Features, row_weights: NDArray[np.float64] | None, shape: tuple[int, int]
) -> Features:
    """Check a stream of features and multiply the row weights in.

    Args:
        features: Stream of float32 [B, K].
        row_weights: float64 [R] or None.
        shape: The (R, K) that the stream must have.

    Yields:
        float32 [B, K] blocks.

    Raises:
        BuildFailed: The stream has another shape, or a number that is not finite.
    """
    rows, width = shape
    start = 0
    for block_BK in features:
        end = start + len(block_BK)
        if block_BK.ndim != 2 or block_BK.shape[1] != width or end > rows:
            raise BuildFailed(
                f"expected features of shape [{rows}, {width}], got {block_BK.shape} at row {start}"
            )
        weighted_BK = block_BK.astype(np.float32, copy=False)
        if row_weights is not None:
            with np.errstate(over="ignore"):
                weighted_BK = (weighted_BK * row_weights[start:end, None]).astype(np.float32)
        if not np.isfinite(weighted_BK).all():
            bad = start + int(np.flatnonzero(~np.isfinite(weighted_BK).all(axis=1))[0])
            raise BuildFailed(
                f"the feature or the weight of row {bad} is not finite: look at that training point"
            )
        yield weighted_BK
        start = end
    if start != rows:
        raise BuildFailed(f"expected {rows} rows of features, got {start}")


def largest_magnitudes(blocks: Features, stretches: Sequence[Stretch]) -> list[float]:
    """Compute the largest absolute number in each stretch, over a whole stream."""
    slices = stretch_slices(stretches)
    largest = [0.0] * len(slices)
    for block_BK in blocks:
        for m, stretch in enumerate(slices):
            largest[m] = max(largest[m], float(np.abs(block_BK[:, stretch]).max(initial=0)))
    return largest


def fp16_exponent(largest: float) -> int:
    """Compute the power of two that brings the largest number of a stretch just below the end of fp16.

    Args:
        largest: Largest absolute number. Zero for a stretch of zeros.

    Returns:
        e such that `largest * 2**e` is in [2^14, 2^15). 0 for zero.
    """
    return 0 if largest == 0 else FP16_TOP_EXPONENT - math.frexp(largest)[1]


def write_vectors(
    blocks: Features,
    directory: Path,
    stretches: Sequence[Stretch],
    rows: int,
    storage: StorageOptions,
) -> Iterator[int]:
    """Write scaled vectors as `vectors/00000.npy`, …. The iterator's steps are the rows written so far.

    Args:
        blocks: Checked stream of float32 [B, K].
        directory: The index's directory; has a folder `vectors`.
        stretches: With their scale exponents.
        rows: R.
        storage: Type of the numbers and rows of a shard.

    Yields:
        The number of rows that are written.
    """
    exponents_K = scale_exponents(stretches)
    stored = storage.stored_type
    pending = _rechunked(blocks, storage.shard_rows)
    for number, start in enumerate(range(0, rows, storage.shard_rows)):
        count = min(storage.shard_rows, rows - start)
        with durable_file(directory / shard_file(number)) as file:
            header = {
                "descr": stored.str,
                "fortran_order": False,
                "shape": (count, len(exponents_K)),
            }
            np.lib.format.write_array_header_1_0(file, header)
            written = 0
            while written < count:
                block_BK = next(pending)
                # In float64: a product with a power of two is then exact, and is rounded once, to the stored type.
                file.write(np.ldexp(block_BK.astype(np.float64), exponents_K).astype(stored).tobytes())
                written += len(block_BK)
                yield start + written


def _rechunked(blocks: Features, shard_rows: int) -> Features:
    """Cut blocks where shards end.

    Yields:
        float32 [B, K].
    """
    position = 0
    for block_BK in blocks:
        start = 0
        while start < len(block_BK):
            step = min(len(block_BK) - start, shard_rows - position)
            yield block_BK[start : start + step]
            start += step
            position = (position + step) % shard_rows


@dataclass(frozen=True)
class Segment:
    """A stretch of rows in one file."""

    path: Path
    offset: int
    """Byte at which the first row begins."""
    rows: int


class VectorRows:
    """Stored vectors, memory-mapped. Numbers are stored numbers: scaled, row weight included."""

    def __init__(
        self,
        segments: Sequence[Segment],
        width: int,
        stored: np.dtype[np.float16] | np.dtype[np.float32],
    ):
        self.width = width
        self.rows = sum(segment.rows for segment in segments)
        self._maps = [_private_map(segment.path) for segment in segments]
        self._tensors = [
            torch.from_numpy(
                np.frombuffer(mapped, stored, segment.rows * width, segment.offset).reshape(-1, width)
            )
            for mapped, segment in zip(self._maps, segments, strict=True)
        ]
        self._starts = np.cumsum([0, *[s.rows for s in segments]])

    @classmethod
    def open_shards(
        cls, paths: Sequence[Path], width: int, storage: StorageOptions, rows: int
    ) -> "VectorRows":
        """Map the files under `vectors/`.

        Raises:
            CorruptIndex: A file's header does not say what the manifest says.
        """
        segments = []
        for number, path in enumerate(paths):
            expected = min(storage.shard_rows, rows - number * storage.shard_rows)
            with path.open("rb") as file:
                np.lib.format.read_magic(file)
                shape, fortran, stored = np.lib.format.read_array_header_1_0(file)
                offset = file.tell()
            if shape != (expected, width) or fortran or stored != storage.stored_type:
                raise CorruptIndex(
                    f"{path}: expected {storage.stored_type} [{expected}, {width}], found {stored} {shape}"
                )
            segments.append(Segment(path, offset, expected))
        return cls(segments, width, storage.stored_type)

    def gather(self, rows: NDArray[np.int64], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Read rows in any order.

        Args:
            rows: int64 [N].
            out: Array to write to, float32 [N or more, K]. None makes an array.

        Returns:
            float32 [N, K]: the beginning of `out`, where there is one.
        """
        gathered_NK = np.empty((len(rows), self.width), np.float32) if out is None else out[: len(rows)]
        step = max(1, _GATHER_BYTES // (4 * self.width))
        for start in range(0, len(rows), step):
            self._gather(rows[start : start + step], gathered_NK[start : start + step])
        return gathered_NK

    def _gather(self, rows: NDArray[np.int64], out_NK: NDArray[np.float32]) -> None:
        if len(self._tensors) == 1:
            torch.from_numpy(out_NK).copy_(self._tensors[0][torch.from_numpy(rows)])
            return
        shards_N = np.searchsorted(self._starts, rows, side="right") - 1
        for shard in np.unique(shards_N):
            chosen = np.flatnonzero(shards_N == shard)
            local = torch.from_numpy(rows[chosen] - self._starts[shard])
            out_NK[chosen] = self._tensors[shard][local].float().numpy()

    def blocks(self, size: int | None = None) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Read all rows in order.

        Blocks of fp16 are written one over the other: `malloc` keeps freed ones, which would add up to the index.

        Args:
            size: Rows of a block. None takes what `block_rows` says.

        Yields:
            (first row, float32 [B, K]). A block never spans two files, and holds until the next one is taken.
        """
        size = min(size or block_rows(self.width), self.rows)
        room_BK = torch.empty((size, self.width), dtype=torch.float32)  # one buffer for all blocks
        for first, tensor in zip(self._starts, self._tensors, strict=False):
            for start in range(0, len(tensor), size):
                stored_BK = tensor[start : start + size]
                whole = stored_BK.dtype == torch.float32  # read where it is mapped
                block_BK = stored_BK if whole else room_BK[: len(stored_BK)].copy_(stored_BK)
                yield int(first) + start, block_BK.numpy()

    def release(self) -> None:
        """Let go of the pages that were read: a pass over all rows then needs no more memory than a block."""
        for mapped in self._maps:
            mapped.madvise(mmap.MADV_DONTNEED)


def _private_map(path: Path) -> mmap.mmap:
    """Map a file privately: writes cannot reach it. Writable, since torch warns of read-only memory."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
