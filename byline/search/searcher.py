"""Find the strongest rows of an index: both ends, filtered, exact or through codes, with the same bits for any batch.

Legend: Q queries, R rows, K numbers of a vector (or the k of a search), M members, O owners, C candidates.

Every path has two steps. Something fast (FAISS on stored rows, a blocked matrix product, 1-bit codes, a GPU)
proposes candidates from float32 scores. `byline.search.scores` then scores the few that could be among the best.
All but the codes are certain to miss nothing; of codes `byline.search.codes` says how certain it is.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from byline.errors import InvalidQuery
from byline.index.faiss_file import GpuRows
from byline.index.index import AttributionIndex
from byline.index.layout import block_rows
from byline.index.vectors import require_features, unscale_features
from byline.search.candidates import Certainty, Hits, Shortlist
from byline.search.codes import CodeSearch
from byline.search.scan import row_blocks, scan
from byline.search.scores import normalize_queries, pair_scores, part_scores, rounding_bound, sum_parts

_Rows = tuple[NDArray[np.int64], NDArray[np.float64]]
"""(rows [k], parts of their scores [k, stretches])."""
_Result = tuple[_Rows, Certainty]
"""Ranked rows of one query, and their certainty."""
MemberScores = Callable[[int, NDArray[np.float32]], NDArray[np.float64]]
"""(number of a query, stored vectors [N, K]) -> each member's scores, float64 [N, M]."""

_FLAT_QUERIES = 2
"""Up to this many queries, FAISS reads stored rows as they are; for more, a product of decoded blocks is faster."""
_FLAT_MARGIN = 32
_FLAT_MOST = 1_024
_QUERY_BATCH = 64


class Searcher:
    """Searches one index. Has no state that a search changes."""

    def __init__(self, index: AttributionIndex, *, threads: int | None = None):
        """Prepare to search.

        Args:
            index: Opened; must stay open.
            threads: Threads of a batch of queries. None takes torch's. Answers do not depend on it.
        """
        self.index = index
        self._threads = threads or torch.get_num_threads()
        self._slices = index.slices
        self._own_stretches = index.manifest.rotation is None
        self._error = rounding_bound(index.width) * index.manifest.search.max_norm
        self._gpu = index.gpu_rows()
        codes = index.codes()
        self._codes = None if codes is None else CodeSearch(codes)

    def search(
        self,
        features_QK: Any,
        k: int,
        *,
        opponents: bool = False,
        rows: NDArray[np.int64] | None = None,
    ) -> Hits:
        """Find the rows with the largest scores, or with the smallest.

        Args:
            features_QK: Query features, [Q, K], as the featurizer makes them (not scaled).
            k: Rows to return for each query.
            opponents: Take the smallest scores instead.
            rows: Rows that may be returned, int64 [N] sorted and different. None allows all.

        Returns:
            min(k, rows allowed) hits a query.

        Raises:
            InvalidQuery: k is below one, the features have another width or are not finite, or `rows` names
                a row that is not there.
        """
        queries_QK = self._queries(features_QK)
        allowed = self._allowed(rows)
        available = self.index.rows if allowed is None else len(allowed)
        if k < 1:
            raise InvalidQuery(f"expected k of at least 1, got {k}")
        k = min(k, available)
        sign = -1.0 if opponents else 1.0
        found = self._search(sign * queries_QK, k, allowed) if k else [self._nothing()] * len(queries_QK)
        rows_QK = np.array([rows_k for (rows_k, _), _ in found], dtype=np.int64).reshape(len(found), k)
        scores = np.array([sum_parts(parts) for (_, parts), _ in found]).reshape(len(found), k)
        parts = np.array([parts for (_, parts), _ in found]).reshape(len(found), k, len(self._slices))
        certainties_Q = tuple(certainty for _, certainty in found)
        return Hits(rows_QK, sign * scores + 0.0, certainties_Q, sign * parts + 0.0)

    def member_scores(
        self, features_QK: Any, hits: Hits, parts_QMK: Tensor | None = None
    ) -> NDArray[np.float64]:
        """Compute each member's own scores of hits.

        Args:
            features_QK: The query features that were searched for.
            hits: Hits of a search.
            parts_QMK: The members' parts of the features, [Q, M, K]: needed where the index has a PCA.

        Returns:
            float64 [Q, k, M]. The mean over M is the score. Without the parts that an index with a PCA needs,
            [Q, k, 1]: the scores themselves, as of one member.
        """
        if self._own_stretches or parts_QMK is None:
            return hits.parts_QkM * len(self._slices)  # each stretch is a member's, and scored already
        score = self._member_scores(features_QK, parts_QMK)
        step = block_rows(self.index.width)
        found = [
            [
                score(q, self.index.row_source.gather(rows_k[start : start + step]))
                for start in range(0, len(rows_k), step)
            ]
            for q, rows_k in enumerate(hits.rows_QK)
        ]
        none = np.empty((0, len(self.index.members)))
        return np.stack([np.concatenate(blocks) if blocks else none for blocks in found])

    def owner_scores(self, features_QK: Any, parts_QMK: Tensor | None = None) -> NDArray[np.float64]:
        """Compute each owner's sum of scores over all of its rows, from the stored sums.

        Args:
            features_QK: Query features, [Q, K].
            parts_QMK: The members' parts of the features, [Q, M, K]: needed where the index has a PCA.

        Returns:
            float64 [Q, O, M], owners as in `index.owners.names`. The mean over M is the sum of the scores. Without
            the parts that an index with a PCA needs, [Q, O, 1].
        """
        score = self._member_scores(features_QK, parts_QMK)
        sums_OK = self.index.owners.sums
        step = block_rows(self.index.width)
        found: list[list[NDArray[np.float64]]] = [[] for _ in range(len(features_QK))]
        for start in range(0, max(1, len(sums_OK)), step):
            block_OK = np.asarray(sums_OK[start : start + step])
            for q, blocks in enumerate(found):
                blocks.append(score(q, block_OK))
        return np.stack([np.concatenate(blocks) for blocks in found])

    def _member_scores(self, features_QK: Any, parts_QMK: Tensor | None) -> MemberScores:
        """Make the function that scores stored vectors by member."""
        queries_QK = self._queries(features_QK)
        if self._own_stretches or parts_QMK is None:
            return lambda q, vectors_NK: (
                pair_scores(queries_QK[q], vectors_NK, self._slices) * len(self._slices)
            )
        unscaled_parts = [self._queries(parts_MK) for parts_MK in parts_QMK]
        members = len(self.index.members)
        return lambda q, vectors_NK: part_scores(unscaled_parts[q], vectors_NK) * members

    def scores(self, features_QK: Any, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Compute the scores of all rows, to float32 accuracy. The last bits depend on the batch.

        Args:
            features_QK: Query features, [Q, K].
            out: Array to write to, float32 [Q, R], e.g. a memory-mapped file. None makes an array.

        Returns:
            float32 [Q, R].
        """
        features_QK = require_features(features_QK, self.index.width)
        if out is None:
            out = np.empty((len(features_QK), self.index.rows), dtype=np.float32)
        for rows_B, scores_QB in self.score_blocks(features_QK):
            out[:, rows_B] = scores_QB
        return out

    def score_blocks(self, features_QK: Any) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Compute the scores of all rows, a block of rows at a time.

        Args:
            features_QK: Query features, [Q, K].

        Yields:
            (rows of the block, scores float32 [Q, B]), which hold until the next block is taken.
        """
        queries_QK = self._queries(features_QK)
        moved_QK, _ = normalize_queries(queries_QK)
        exponents_Q = np.frexp(np.abs(queries_QK).max(axis=1, initial=0))[1]
        moved_KQ = torch.from_numpy(moved_QK).T
        size = min(self.index.rows, block_rows(self.index.width))
        room_BQ = torch.empty((size, len(moved_QK)), dtype=torch.float32)
        for rows_B, vectors_BK in row_blocks(self.index.row_source):
            scores_BQ = torch.mm(torch.from_numpy(vectors_BK), moved_KQ, out=room_BQ[: len(rows_B)]).numpy()
            # A power of two: exact in float32 unless the score itself leaves its range.
            np.ldexp(scores_BQ, exponents_Q, out=scores_BQ)
            yield slice(int(rows_B[0]), int(rows_B[-1]) + 1), scores_BQ.T

    def _queries(self, features_QK: Any) -> NDArray[np.float64]:
        return unscale_features(
            require_features(features_QK, self.index.width), self.index.manifest.stretches
        )

    def _allowed(self, rows: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
        if rows is None:
            return None
        allowed = np.asarray(rows, dtype=np.int64)
        in_order = allowed.ndim == 1 and bool((np.diff(allowed) > 0).all())
        if not in_order or (len(allowed) and (allowed[0] < 0 or allowed[-1] >= self.index.rows)):
            raise InvalidQuery(
                f"expected sorted, different rows below {self.index.rows}, got {allowed.shape} others"
            )
        return allowed

    def _nothing(self) -> _Result:
        return (np.empty(0, dtype=np.int64), np.empty((0, len(self._slices)))), Certainty(
            exact=True, candidates=0, expected_recall=1.0
        )

    def _search(
        self, queries_QK: NDArray[np.float64], k: int, allowed: NDArray[np.int64] | None
    ) -> list[_Result]:
        if allowed is not None:
            return self._scan_in_batches(queries_QK, k, allowed)
        codes = self._codes
        if codes is not None:
            return self._each(lambda query_1K: self._by_codes(codes, query_1K, k), queries_QK)
        if self._gpu is not None and k + _FLAT_MARGIN <= self._gpu.MAX_K:
            return self._by_gpu(self._gpu, queries_QK, k)
        if len(queries_QK) <= _FLAT_QUERIES and k <= _FLAT_MOST:
            return [self._by_flat(query_K[None], k) for query_K in queries_QK]
        return self._scan_in_batches(queries_QK, k, None)

    def _each(
        self, answer: Callable[[NDArray[np.float64]], _Result], queries_QK: NDArray[np.float64]
    ) -> list[_Result]:
        """Answer one query a time, so that nothing depends on its neighbors. In threads if there are several."""
        each = [query_K[None] for query_K in queries_QK]
        if self._threads == 1 or len(each) < 2:
            return [answer(query_1K) for query_1K in each]
        with ThreadPoolExecutor(min(self._threads, len(each))) as pool:
            return list(pool.map(answer, each))

    def _by_codes(self, codes: CodeSearch, query_1K: NDArray[np.float64], k: int) -> _Result:
        """Candidates by codes, until they are enough and no row that ties with the last hit can be missing."""
        moved_1K, norm_1 = normalize_queries(query_1K)
        for proposal in codes.proposals(moved_1K[0], k):
            shortlist = self._shortlist(query_1K[0], k, float(norm_1[0]))
            shortlist.offer(proposal.rows_C, proposal.approximate_C)
            rows, parts = shortlist.finish()
            scores = sum_parts(parts)
            if proposal.holds_ties(rows[scores == scores[-1]]):
                return (rows, parts), Certainty(
                    exact=False, candidates=len(proposal.rows_C), expected_recall=proposal.expected_recall
                )
        return self._scan(query_1K, k, None)[0]

    def _scanned(self, rows: int) -> Certainty:
        """Return the certainty of a scan. Scores of decoded codes are as certain as their measured recall."""
        exact = self.index.exact
        recall = 1.0 if exact else self.index.manifest.search.recall_at_least
        return Certainty(exact=exact, candidates=rows, expected_recall=recall)

    def _by_flat(self, query_1K: NDArray[np.float64], k: int) -> _Result:
        """Candidates by FAISS on stored rows, one query."""
        moved_1K, norm_1 = normalize_queries(query_1K)
        count = min(self.index.rows, k + _FLAT_MARGIN)
        scores_C, rows_C = self.index.search_file.nearest(moved_1K, count)
        error = self._error * float(norm_1[0])
        if count < self.index.rows and not scores_C[-1] < scores_C[k - 1] - 2 * error:
            return self._scan(query_1K, k, None)[0]
        shortlist = self._shortlist(query_1K[0], k, float(norm_1[0]))
        shortlist.offer(rows_C, scores_C)
        return shortlist.finish(), self._scanned(self.index.rows)

    def _by_gpu(self, gpu: GpuRows, queries_QK: NDArray[np.float64], k: int) -> list[_Result]:
        """Candidates by a GPU, all queries at once. Those with too close a call are scanned."""
        moved_QK, norms_Q = normalize_queries(queries_QK)
        count = min(self.index.rows, gpu.MAX_K, max(4 * k, k + 256))
        scores_QC, rows_QC = gpu.nearest(moved_QK, count)
        errors_Q = gpu.ROUNDING * self.index.manifest.search.max_norm * norms_Q
        found = []
        for q, query_K in enumerate(queries_QK):
            if count < self.index.rows and not scores_QC[q, -1] < scores_QC[q, k - 1] - 2 * errors_Q[q]:
                found += self._scan(query_K[None], k, None)
                continue
            shortlist = Shortlist(k, float(errors_Q[q]), partial(self._parts, query_K))
            shortlist.offer(rows_QC[q], scores_QC[q])
            found.append((shortlist.finish(), self._scanned(self.index.rows)))
        return found

    def _scan_in_batches(
        self, queries_QK: NDArray[np.float64], k: int, allowed: NDArray[np.int64] | None
    ) -> list[_Result]:
        found: list[_Result] = []
        for start in range(0, len(queries_QK), _QUERY_BATCH):
            found += self._scan(queries_QK[start : start + _QUERY_BATCH], k, allowed)
        return found

    def _scan(
        self, queries_QK: NDArray[np.float64], k: int, allowed: NDArray[np.int64] | None
    ) -> list[_Result]:
        moved_QK, norms_Q = normalize_queries(queries_QK)
        shortlists = [
            self._shortlist(query_K, k, float(norm))
            for query_K, norm in zip(queries_QK, norms_Q, strict=True)
        ]
        scan(self.index.row_source, moved_QK, shortlists, allowed)
        certainty = self._scanned(self.index.rows if allowed is None else len(allowed))
        return [(shortlist.finish(), certainty) for shortlist in shortlists]

    def _shortlist(self, query_K: NDArray[np.float64], k: int, norm: float) -> Shortlist:
        return Shortlist(k, self._error * norm, partial(self._parts, query_K))

    def _parts(self, query_K: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return pair_scores(query_K, self.index.row_source.gather(rows), self._slices)
