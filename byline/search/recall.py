"""Chooses how many candidates codes must propose, by measured recall.

Legend: Q rankings, R rows, K numbers of a vector.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from byline.randomness import random_integers, stream_key
from byline.search.faiss_files import SearchFile
from byline.search.scan import row_blocks
from byline.search.scores import for_candidates
from byline.store.layout import MAX_FACTOR, StorageOptions, Stretch, scale_exponents
from byline.store.vectors import VectorRows

TOP = 10
TARGET = 0.999
FIRST_FACTOR = 20
_QUERIES = 64


@dataclass(frozen=True)
class MeasuredFactor:
    """How well candidates by codes cover the exact top ten."""

    factor: int
    """Candidates for each result that is asked for."""
    recall: float
    """Mean recall@10 with it."""
    queries: int
    """Rankings that it is the mean of."""


def measured_factor(
    search: SearchFile,
    vectors: VectorRows,
    stretches: Sequence[Stretch],
    storage: StorageOptions,
    progress: Callable[[str, int, int], None] | None = None,
) -> MeasuredFactor:
    """Double the factor from 20 until recall@10 is .999, or measure the one that was asked for.

    Queries are training rows, drawn at random with the index's seed, and their negatives: both ends of a ranking.

    Args:
        search: The file with the codes.
        vectors: Stored rows.
        stretches: With their scale exponents.
        storage: Seed, and the factor if the user chose one.
        progress: Called with ("nearest rows", rows read, rows) and, for every factor that is tried, with
            (its name, rankings, rankings in all).

    Returns:
        The factor with what was measured.
    """
    queries_QK = _sampled_queries(vectors, stretches, storage.seed)
    report = progress or _nothing
    top_QT = _exact_top(vectors, queries_QK, report)
    enough = min(MAX_FACTOR, max(FIRST_FACTOR, -(-vectors.rows // TOP)))
    factor = storage.rescore_factor or FIRST_FACTOR
    while True:
        recall = _recall(
            partial(_found, search, vectors, factor), queries_QK, top_QT, partial(report, f"factor {factor}")
        )
        if recall >= TARGET or storage.rescore_factor is not None or factor == enough:
            return MeasuredFactor(factor, recall, len(queries_QK))
        factor = min(2 * factor, enough)


def _sampled_queries(vectors: VectorRows, stretches: Sequence[Stretch], seed: int) -> NDArray[np.float32]:
    counters = torch.arange(min(_QUERIES, vectors.rows), dtype=torch.int64)
    rows_N = random_integers(stream_key(seed, "recall"), counters, vectors.rows).numpy()
    # A stored number is the feature times 2^e, and a query that meets it is the feature over 2^e.
    sampled_NK = np.ldexp(vectors.gather(rows_N).astype(np.float64), -2 * scale_exponents(stretches))
    moved_NK, _ = for_candidates(sampled_NK)
    return np.concatenate([moved_NK, -moved_NK])


def _nothing(what: str, done: int, total: int) -> None:
    """Nobody wants to know how far it is."""


def _exact_top(
    vectors: VectorRows, queries_QK: NDArray[np.float32], report: Callable[[str, int, int], None]
) -> NDArray[np.float32]:
    """Scores of the best ten rows of each query, float32 [Q, 10], the best first."""
    top_QT = torch.full((len(queries_QK), min(TOP, vectors.rows)), -torch.inf)
    for rows_B, vectors_BK in row_blocks(vectors):
        scores_QB = torch.from_numpy(queries_QK) @ torch.from_numpy(vectors_BK).T
        top_QT = torch.cat([top_QT, scores_QB], dim=1).topk(top_QT.shape[1], dim=1).values
        vectors.release()
        report("nearest rows", int(rows_B[-1]) + 1, vectors.rows)
    return top_QT.numpy()


def _recall(
    count: Callable[[NDArray[np.float32], NDArray[np.float32]], int],
    queries_QK: NDArray[np.float32],
    top_QT: NDArray[np.float32],
    report: Callable[[int, int], None],
) -> float:
    """Part of the best ten that candidates reach."""
    found = 0
    for done, (query_K, top_T) in enumerate(zip(queries_QK, top_QT, strict=True), start=1):
        found += count(query_K, top_T)
        report(done, len(queries_QK))
    return found / top_QT.size


def _found(
    search: SearchFile,
    vectors: VectorRows,
    factor: int,
    query_K: NDArray[np.float32],
    top_T: NDArray[np.float32],
) -> int:
    """How many of a query's best ten its candidates reach, by score: of equal rows any will do."""
    _, rows_C = search.candidates(query_K[None], min(factor * len(top_T), vectors.rows))
    scores_C = np.sort(vectors.gather(rows_C) @ query_K)[::-1][: len(top_T)]
    vectors.release()
    slack = 1e-5 * max(abs(float(top_T[0])), 1e-30)
    return int(np.count_nonzero(scores_C[: len(top_T)] >= top_T[: len(scores_C)] - slack))
