"""From query features to scored rows: search, members' scores, noise sample and owners' sums.

Letters: Q questions, K numbers of a feature, M members, C candidates, S sampled rows, O owners.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from byline.api.blend import Blend
from byline.api.example import Example
from byline.api.query import Filter
from byline.api.terms import Direction
from byline.attribution.optimism import candidate_count, optimism
from byline.attribution.queries import PreparedQuery
from byline.attribution.top_works import TopWorks, top_works
from byline.attribution.uncertainty import sample_rows, unit_count
from byline.index.index import AttributionIndex
from byline.members import Member
from byline.search.candidates import Certainty
from byline.search.searcher import Searcher


@dataclass(frozen=True, kw_only=True)
class RankedRows:
    """One end of the scores of one question, strongest first."""

    rows: NDArray[np.int64]
    """[k]"""
    scores: NDArray[np.float64]
    """[k]"""
    by_member: NDArray[np.float64]
    """[k, M]. The mean over the members is the score. [k, 1] where the members' own are not known."""
    optimism: float | None = None
    """Fraction of the scores that is luck. None where unknown."""
    certainty: Certainty | None = None
    """Certainty that no stronger row of the index was missed. None for a baseline, which scores all rows."""
    examples: tuple[Example, ...] | None = None
    """[k], where the rows are training points of an index of groups. None where the index knows them."""


@dataclass(kw_only=True)
class SearchResult:
    """The search's result for one question."""

    proponents: RankedRows | None = None
    opponents: RankedRows | None = None
    searched: int = 0
    """Rows that could have come back."""
    points: int = 0
    """Training points that they stand for. Those that were scored one by one, after a drill-down."""
    drilled: int | None = None
    """Groups whose points were scored. None without a drill-down."""
    noise: NDArray[np.float64] | None = None
    """[S] scores of the noise sample. None where no examples were requested."""
    owners: NDArray[np.float64] | None = None
    """[O, M] sums over the owners' rows by member, where they were requested; [O, 1] where the members' own are
    not known."""
    works: TopWorks | None = None
    """Rows behind the owners' sums. None unless they were requested, or where only codes of the rows are kept."""
    blend: Blend | None = None
    """Similarity and weight of blended scores. None for others."""

    @property
    def certainty(self) -> Certainty | None:
        """Certainty that nothing stronger was missed at either end. None without a search."""
        ends = [end.certainty for end in (self.proponents, self.opponents) if end is not None]
        known = [certainty for certainty in ends if certainty is not None]
        return reduce(Certainty.combine, known) if known else None


class Retrieval:
    """Searches one index for many questions at once.

    Args:
        index: The opened index.
        searcher: Searches it.
        members: The ensemble.
    """

    def __init__(self, index: AttributionIndex, searcher: Searcher, members: Sequence[Member]) -> None:
        self._index = index
        self._members = members
        self._searcher = searcher
        self._sample_SK: NDArray[np.float32] | None = None

    def find(self, queries: Sequence[PreparedQuery]) -> list[SearchResult]:
        """Answer questions that have their features. Those with the same options are searched together."""
        found = [SearchResult() for _ in queries]
        wanted = [q for q, each in enumerate(queries) if each.question.request.examples]
        self._find_examples(queries, wanted, found)
        for with_parts in (False, True):
            shared = [
                q
                for q, each in enumerate(queries)
                if each.question.request.shares and (each.parts is not None) == with_parts
            ]
            self._find_owners([queries[q] for q in shared], [found[q] for q in shared])
        for query, each in zip(queries, found, strict=True):
            if query.question.request.works:
                each.works = self._works(query)
        return found

    def _works(self, query: PreparedQuery) -> TopWorks | None:
        """Scan all rows for one question alone, so that the last bits do not depend on the batch."""
        request, owners = query.question.request, self._index.owners
        unlisted = request.listed_owners is not None and request.listed_owners < len(owners.names)
        if not request.shares or unlisted or not self._index.manifest.storage.exact:
            return None
        features_QK, _ = _stacked([query])
        (scores_R,) = self._searcher.scores(features_QK)
        return top_works(scores_R, owners.rows, len(owners.names), request.works)

    def _find_owners(self, queries: Sequence[PreparedQuery], found: Sequence[SearchResult]) -> None:
        if not queries:
            return
        owners_QOM = self._searcher.owner_scores(*_stacked(queries))
        for each, owners_OM in zip(found, owners_QOM, strict=True):
            each.owners = np.asarray(owners_OM, dtype=np.float64)

    def _find_examples(
        self, queries: Sequence[PreparedQuery], wanted: Sequence[int], found: Sequence[SearchResult]
    ) -> None:
        if not wanted:
            return
        features_QK, _ = _stacked([queries[q] for q in wanted])
        for q, noise_S in zip(wanted, self._noise(features_QK), strict=True):
            found[q].noise = noise_S
        groups: dict[str, list[int]] = {}
        for q in wanted:
            request, whole = queries[q].question.request, queries[q].parts is None
            groups.setdefault(repr((request.filter, request.searched, request.direction, whole)), []).append(
                q
            )
        for members in groups.values():
            self._find_group([queries[q] for q in members], [found[q] for q in members])

    def _find_group(self, queries: Sequence[PreparedQuery], found: Sequence[SearchResult]) -> None:
        request = queries[0].question.request
        rows = self._rows(request.filter)
        searched = self._index.rows if rows is None else len(rows)
        ends: dict[Direction, bool] = {
            "proponents": request.direction != "opponents",
            "opponents": request.direction != "proponents",
        }
        for name, asked_for in ends.items():
            if asked_for:
                for each, end in zip(found, self._end(queries, request.searched, rows, name), strict=True):
                    setattr(each, name, end)
        for each in found:
            each.searched = searched
            each.points = self._index.points if rows is None else self._index.points_of(rows)

    def _end(
        self, queries: Sequence[PreparedQuery], k: int, rows: NDArray[np.int64] | None, name: Direction
    ) -> list[RankedRows]:
        features_QK, parts_QMK = _stacked(queries)
        if rows is not None and not len(rows):
            nothing = np.zeros((0, len(self._members)))
            certain = Certainty(exact=True, candidates=0, expected_recall=1.0)
            empty = RankedRows(
                rows=np.zeros(0, np.int64), scores=np.zeros(0), by_member=nothing, certainty=certain
            )
            return [empty] * len(features_QK)
        wide = self._index.manifest.storage.search == "exact" and unit_count(self._members) is not None
        candidates = candidate_count(k) if wide else k  # from codes, each further hit costs many rows
        hits = self._searcher.search(features_QK, candidates, opponents=name == "opponents", rows=rows)
        by_member_QCM = self._searcher.member_scores(features_QK, hits, parts_QMK)
        return [
            RankedRows(
                rows=rows_C[:k],
                scores=scores_C[:k],
                by_member=by_member_CM[:k],
                optimism=optimism(name, by_member_CM, self._members, k) if wide else None,
                certainty=certainty,
            )
            for rows_C, scores_C, by_member_CM, certainty in zip(
                hits.rows_QK, hits.scores_QK, by_member_QCM, hits.certainties_Q, strict=True
            )
        ]

    def _rows(self, chosen: Filter | None) -> NDArray[np.int64] | None:
        return None if chosen is None else self._index.examples.rows_matching(chosen)

    def _noise(self, features_QK: Tensor) -> NDArray[np.float64]:
        """Scores of the sampled rows, in single precision: only their spread is used."""
        if self._sample_SK is None:
            rows_S = sample_rows(self._index.rows)
            self._sample_SK = np.asarray(self._index.row_source.gather(rows_S), dtype=np.float32)
        queries_QK = torch.from_numpy(self._index.query_vectors(features_QK))
        return (queries_QK @ torch.from_numpy(self._sample_SK).T).numpy().astype(np.float64)


def _stacked(queries: Sequence[PreparedQuery]) -> tuple[Tensor, Tensor | None]:
    """Features [Q, K], and the members' parts [Q, M, K] where all have them."""
    parts = [each.parts for each in queries if each.parts is not None]
    features = [each.feature for each in queries if each.feature is not None]
    return torch.stack(features), torch.stack(parts) if len(parts) == len(queries) else None
