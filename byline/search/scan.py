"""Approximate scores of all rows, or of some, in blocks of bounded memory.

Legend: Q queries, B rows of a block, K numbers of a vector.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from byline.index.layout import block_rows
from byline.index.vectors import RowSource
from byline.search.candidates import Shortlist


def row_blocks(
    source: RowSource, rows: NDArray[np.int64] | None = None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Read vectors in blocks, each written over the one before.

    Args:
        source: Source of the vectors.
        rows: Row numbers, sorted. None for all.

    Yields:
        (rows int64 [B], vectors float32 [B, K]), which hold until the next block is taken.
    """
    size = block_rows(source.width)
    blocks = getattr(source, "blocks", None)
    if rows is None and blocks is not None:
        for start, vectors_BK in blocks(size):
            yield np.arange(start, start + len(vectors_BK)), vectors_BK
        return
    count = source.rows if rows is None else len(rows)
    room_BK = np.empty((min(size, count), source.width), dtype=np.float32)
    for start in range(0, count, size):
        end = min(start + size, count)
        chosen = np.arange(start, end) if rows is None else rows[start:end]
        yield chosen, source.gather(chosen, room_BK)


def scan(
    source: RowSource,
    queries_QK: NDArray[np.float32],
    shortlists: Sequence[Shortlist],
    rows: NDArray[np.int64] | None = None,
) -> None:
    """Offer every row to every query's shortlist, by one matrix product a block.

    Args:
        source: Source of the vectors.
        queries_QK: float32 [Q, K].
        shortlists: One a query.
        rows: Which rows, sorted. None for all.
    """
    moved_QK = torch.from_numpy(queries_QK)
    room = torch.empty(len(queries_QK) * block_rows(source.width))
    for rows_B, vectors_BK in row_blocks(source, rows):
        scores = room[: len(queries_QK) * len(rows_B)].view(len(queries_QK), len(rows_B))
        # In this order: with few queries it is up to twice as fast as the transposed product.
        scores_QB = torch.mm(moved_QK, torch.from_numpy(vectors_BK).T, out=scores).numpy()
        thresholds_Q1 = np.array([[shortlist.threshold] for shortlist in shortlists])
        for q, shortlist in enumerate(shortlists):
            chosen = np.flatnonzero(scores_QB[q] >= thresholds_Q1[q])
            if len(chosen):
                shortlist.offer(rows_B[chosen], scores_QB[q][chosen])
