"""Measure the recall@10 of compressed search, for each kind of query, at both ends of a ranking.

Legend: Q rankings, T results of a ranking, K numbers of a vector, B rows of a block.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from byline.index.codes import FIRST_FACTOR, Codes, MeasuredRecall
from byline.index.layout import MAX_FACTOR, Stretch, block_rows
from byline.index.manifest import RecallRecord
from byline.index.vectors import RowSource, VectorRows
from byline.search.codes import TOP, CodeSearch
from byline.search.query_kinds import ROWS, TARGET, query_kinds
from byline.search.scan import row_blocks
from byline.search.scores import pair_scores

Progress = Callable[[str, int, int], None]
TARGET_RECALL = 0.999
"""Recall@10 that plain FAISS is to reach for rows and real queries."""
_SAME = 1e-9
"""Scores that differ by less, relative to the best, are equal: of equal rows any will do."""


@dataclass(frozen=True)
class _Ranking:
    """Recall of one query's best ten."""

    recall: float
    plain_recall: float
    scanned: bool
    """True where the ranking took an exact scan."""


def measure_recall(
    codes: Codes,
    vectors: VectorRows,
    stretches: Sequence[Stretch],
    *,
    seed: int,
    queries: Mapping[str, NDArray[np.float32]],
    progress: Progress | None = None,
) -> MeasuredRecall:
    """Draw queries of each kind and measure what the codes find for them: a `RecallMeasurement`.

    Args:
        codes: The codes. A fixed factor is kept.
        vectors: The stored rows: the truth.
        stretches: The parts of a vector, with their scale exponents.
        seed: Seed of the queries that are drawn.
        queries: Features of real queries [Q, K] by target, without the scales.
        progress: Called with ("nearest rows", rows read, rows) and ("recall", rankings, rankings in all).

    Returns:
        The numbers of candidates, and the recall of each kind of query.
    """
    kinds = query_kinds(vectors, stretches, codes.centre_K, seed, queries)
    return recall_by_kind(codes, vectors, kinds, progress)


def recall_by_kind(
    codes: Codes,
    vectors: VectorRows,
    kinds: Mapping[str, NDArray[np.float32]],
    progress: Progress | None = None,
) -> MeasuredRecall:
    """Choose how many candidates to begin with, and measure recall@10 of what is then found.

    Both factors are doubled from 20. That of plain FAISS until its recall@10 is .999 for rows and real queries. The
    first one until the candidates of half of these are enough. Where codes are given up for most of them it stays 20.

    Args:
        codes: The codes. A fixed factor is kept.
        vectors: Stored rows: the truth.
        kinds: Kind of query -> queries float32 [Q, K], each with a largest number in [.5, 1).
        progress: Called with ("nearest rows", rows read, rows) and ("recall", rankings, rankings in all).

    Returns:
        The factors and the recall of each kind.
    """
    report = progress or _no_progress
    ends = {kind: np.concatenate([queries_QK, -queries_QK]) for kind, queries_QK in kinds.items()}
    queries_QK = np.concatenate(list(ends.values()))
    places = np.repeat(list(ends), [len(each) for each in ends.values()])
    truth = _Truth(vectors, queries_QK, _top_rows(vectors, queries_QK, report))
    decoded_QT = _top_rows(codes.source, queries_QK, _no_progress) if codes.decoded else None
    plain = codes.factor
    if not codes.fixed and not codes.decoded:
        usual = [q for q, kind in enumerate(places) if kind == ROWS or kind.startswith(f"{TARGET} ")]
        plain = _plain_factor(codes, truth, usual)
        codes = replace(codes, factor=_first_factor(codes, queries_QK[usual]))
    search, rankings = CodeSearch(codes), []
    for q, query_K in enumerate(queries_QK):
        proposal = next(search.proposals(query_K, TOP), None)
        if decoded_QT is not None:
            found = by_faiss = truth.recall(q, decoded_QT[q])
        else:
            found = 1.0 if proposal is None else truth.recall(q, proposal.rows_C)
            by_faiss = _plain_recall(codes, truth, q, plain)
        rankings.append(_Ranking(found, by_faiss, scanned=proposal is None))
        vectors.release()
        report("recall", q + 1, len(queries_QK))
    by_kind = {kind: [rankings[q] for q in np.flatnonzero(places == kind)] for kind in ends}
    records = tuple(_record(kind, own) for kind, own in by_kind.items())
    return MeasuredRecall(plain, codes.factor, records)


def _no_progress(step: str, done: int, total: int) -> None:
    """Take reports that nobody reads."""


def _top_rows(source: RowSource, queries_QK: NDArray[np.float32], report: Progress) -> NDArray[np.int64]:
    """The best ten rows of each query, by float32 scores: int64 [Q, T]."""
    top = min(TOP, source.rows)
    scores_QT = torch.empty((len(queries_QK), 0))
    rows_QT = torch.empty((len(queries_QK), 0), dtype=torch.int64)
    for rows_B, vectors_BK in row_blocks(source):
        scores_QB = torch.from_numpy(queries_QK) @ torch.from_numpy(vectors_BK).T
        scores_QX = torch.cat([scores_QT, scores_QB], dim=1)
        rows_QX = torch.cat([rows_QT, torch.from_numpy(rows_B).expand(len(queries_QK), -1)], dim=1)
        scores_QT, places_QT = scores_QX.topk(min(top, scores_QX.shape[1]), dim=1)
        rows_QT = rows_QX.gather(1, places_QT)
        if isinstance(source, VectorRows):
            source.release()
        report("nearest rows", int(rows_B[-1]) + 1, source.rows)
    return rows_QT.numpy()


def _plain_factor(codes: Codes, truth: "_Truth", queries: list[int]) -> int:
    """Candidates for each result with which plain FAISS finds .999 of the best ten."""
    enough = min(MAX_FACTOR, max(FIRST_FACTOR, -(-truth.vectors.rows // TOP)))
    factor = FIRST_FACTOR
    while (
        factor < enough and np.mean([_plain_recall(codes, truth, q, factor) for q in queries]) < TARGET_RECALL
    ):
        factor = min(2 * factor, enough)
    return factor


def _plain_recall(codes: Codes, truth: "_Truth", q: int, factor: int) -> float:
    _, rows_C = codes.file.candidates(truth.queries_QK[q][None], min(factor * TOP, truth.vectors.rows))
    return truth.recall(q, rows_C)


def _first_factor(codes: Codes, queries_QK: NDArray[np.float32]) -> int:
    """Candidates for each result that half of the queries need."""
    search = CodeSearch(replace(codes, factor=FIRST_FACTOR))
    proposals = [next(search.proposals(query_K, TOP), None) for query_K in queries_QK]
    half = float(np.median([np.inf if each is None else each.estimated / TOP for each in proposals]))
    factor = FIRST_FACTOR
    while factor < half < np.inf and 2 * factor <= MAX_FACTOR:
        factor *= 2
    return factor


@dataclass(frozen=True)
class _Truth:
    """The best ten rows of each query, by stored rows."""

    vectors: VectorRows
    queries_QK: NDArray[np.float32]
    top_QT: NDArray[np.int64]

    def recall(self, q: int, rows: NDArray[np.int64]) -> float:
        """Part of a query's best that is among some rows, by exact scores."""
        best_T, found_C = self._scores(q, self.top_QT[q]), self._scores(q, rows)
        slack = _SAME * np.abs(best_T).max()
        return min(1.0, float(np.count_nonzero(found_C >= best_T.min() - slack)) / len(best_T))

    def _scores(self, q: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        whole = [slice(0, self.vectors.width)]
        step = block_rows(self.vectors.width)
        query_K = self.queries_QK[q].astype(np.float64)
        blocks = [
            pair_scores(query_K, self.vectors.gather(rows[start : start + step]), whole)[:, 0]
            for start in range(0, len(rows), step)
        ]
        return np.concatenate(blocks)


def _record(kind: str, rankings: list[_Ranking]) -> RecallRecord:
    recalls = np.array([ranking.recall for ranking in rankings])
    return RecallRecord(
        kind=kind,
        rankings=len(rankings),
        recall_at_10=float(recalls.mean()),
        recall_at_least=max(0.0, float(recalls.mean() - 2 * recalls.std() / np.sqrt(len(recalls)))),
        plain_recall_at_10=float(np.mean([ranking.plain_recall for ranking in rankings])),
        scanned=float(np.mean([ranking.scanned for ranking in rankings])),
    )
