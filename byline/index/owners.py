"""Each owner's rows and the sum of their vectors: an owner's share of any answer is one inner product.

Legend: B rows of a block, R rows, O owners, K numbers of a vector.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from byline.index.durable import durable_file
from byline.index.layout import block_rows
from byline.index.vectors import VectorRows


@dataclass(frozen=True)
class Owners:
    """Owners of the training points."""

    names: tuple[str, ...]
    """[O], sorted."""
    rows: NDArray[np.int32]
    """Row -> position in `names`, or -1 for a row without an owner: [R]."""
    sums: NDArray[np.float32]
    """Sum of each owner's stored vectors, float32 [O, K]."""


def write_owner_sums(
    path: Path, vectors: VectorRows, owner_rows: NDArray[np.int32], owners: int
) -> Iterator[int]:
    """Add up each owner's vectors in float64, rows ascending, and write them as float32.

    One owner after the other, so that memory holds one sum and one block, also where every row has an
    owner of its own.

    Args:
        path: The `.npy` file to write.
        vectors: Stored vectors.
        owner_rows: int32 [R], -1 for none.
        owners: O.

    Yields:
        The number of rows that are added.
    """
    order_R = np.argsort(owner_rows, kind="stable").astype(np.int64)
    order_R = order_R[np.count_nonzero(owner_rows < 0) :]
    size = block_rows(vectors.width)
    with durable_file(path) as file:
        shape = (owners, vectors.width)
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        carried_K = np.zeros(vectors.width)
        room_BK = np.empty((min(size, len(order_R)), vectors.width), dtype=np.float32)
        wide_BK = np.empty(room_BK.shape, dtype=np.float64)
        for start in range(0, len(order_R), size):
            rows_B = order_R[start : start + size]
            owners_B = owner_rows[
                rows_B
            ]  # ascending: an owner's rows are one run, which may go on in the next block
            cuts = np.flatnonzero(np.diff(owners_B)) + 1
            vectors_BK = wide_BK[: len(rows_B)]
            np.copyto(vectors_BK, vectors.gather(rows_B, room_BK))
            sums_XK = np.add.reduceat(vectors_BK, [0, *cuts], axis=0)
            sums_XK[0] += carried_K
            ends_here = start + size >= len(order_R) or owner_rows[order_R[start + size]] != owners_B[-1]
            finished = sums_XK if ends_here else sums_XK[:-1]
            carried_K = np.zeros(vectors.width) if ends_here else sums_XK[-1]
            file.write(finished.astype(np.float32).tobytes())
            vectors.release()
            yield start + len(rows_B)
