"""From query features to scored rows: search, members' scores, noise sample and owners' sums.

Letters: Q questions, K numbers of a feature, M members, S sampled rows, O owners.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from byline.attribution.noise import sample_rows
from byline.attribution.questions import Question
from byline.search.searcher import Searcher
from byline.store.examples import Filter
from byline.store.index import AttributionIndex


@dataclass(frozen=True, kw_only=True)
class End:
    """One end of the scores of one question, strongest first."""

    rows: NDArray[np.int64]
    """[k]"""
    scores: NDArray[np.float64]
    """[k]"""
    by_member: NDArray[np.float64]
    """[k, M]; the mean over the members is the score."""


@dataclass(kw_only=True)
class Found:
    """What the search knows about one question."""

    proponents: End | None = None
    opponents: End | None = None
    searched: int = 0
    """Rows that could have come back."""
    noise: NDArray[np.float64] | None = None
    """[S] scores of the noise sample; None where no examples were asked for."""
    owners: NDArray[np.float64] | None = None
    """[O, M] sums over the owners' rows by member, where they were asked for."""


class Lookup:
    """Searches one index for many questions at once.

    Args:
        index: The opened index.
        searcher: Searches it.
    """

    def __init__(self, index: AttributionIndex, searcher: Searcher) -> None:
        self._index = index
        self._searcher = searcher
        self._sample_SK: NDArray[np.float32] | None = None

    def find(self, questions: Sequence[Question], features_QK: Tensor) -> list[Found]:
        """Answer questions; those with the same options are searched together."""
        found = [Found() for _ in questions]
        wanted = [q for q, question in enumerate(questions) if question.examples]
        self._find_examples(questions, features_QK, wanted, found)
        shared = [q for q, question in enumerate(questions) if question.request.shares]
        if shared:
            owners_QOM = self._searcher.owner_scores(features_QK[shared])
            for q, owners_OM in zip(shared, owners_QOM, strict=True):
                found[q].owners = np.asarray(owners_OM, dtype=np.float64)
        return found

    def _find_examples(
        self,
        questions: Sequence[Question],
        features_QK: Tensor,
        wanted: Sequence[int],
        found: Sequence[Found],
    ) -> None:
        if not wanted:
            return
        for q, noise_S in zip(wanted, self._noise(features_QK[list(wanted)]), strict=True):
            found[q].noise = noise_S
        groups: dict[str, list[int]] = {}
        for q in wanted:
            request = questions[q].request
            groups.setdefault(repr((request.filter, request.k, request.direction)), []).append(q)
        for members in groups.values():
            self._find_group(questions[members[0]], features_QK[members], [found[q] for q in members])

    def _find_group(self, question: Question, features_QK: Tensor, found: Sequence[Found]) -> None:
        request = question.request
        rows = self._rows(request.filter)
        searched = self._index.rows if rows is None else len(rows)
        ends = {
            "proponents": request.direction != "opponents",
            "opponents": request.direction != "proponents",
        }
        for name, asked_for in ends.items():
            if asked_for:
                for each, end in zip(found, self._end(features_QK, request.k, rows, name), strict=True):
                    setattr(each, name, end)
        for each in found:
            each.searched = searched

    def _end(self, features_QK: Tensor, k: int, rows: NDArray[np.int64] | None, name: str) -> list[End]:
        if rows is not None and not len(rows):
            nothing = np.zeros((0, len(self._index.members)))
            empty = End(rows=np.zeros(0, np.int64), scores=np.zeros(0), by_member=nothing)
            return [empty] * len(features_QK)
        hits = self._searcher.search(features_QK, k, opponents=name == "opponents", rows=rows)
        by_member_QkM = self._searcher.member_scores(features_QK, hits)
        return [
            End(rows=rows_k, scores=scores_k, by_member=by_member_kM)
            for rows_k, scores_k, by_member_kM in zip(
                hits.rows_QK, hits.scores_QK, by_member_QkM, strict=True
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
