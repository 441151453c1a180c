"""The 1-bit codes of a compressed index, and the recall that was measured on them.

Legend: Q queries, K numbers of a vector, R rows of the index.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from byline.index.faiss_file import SearchFile
from byline.index.layout import Stretch
from byline.index.manifest import RecallRecord
from byline.index.vectors import RowSource, VectorRows

FIRST_FACTOR = 20
"""Candidates for each result that are tried first, unless the index says otherwise."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Codes:
    """An index's codes and what is known about them."""

    file: SearchFile
    """The FAISS file with the codes."""
    source: RowSource
    """Vectors that score candidates: stored rows, or decoded codes where nothing else is kept."""
    centre_K: NDArray[np.float32]
    """Vector that was subtracted from every row before it was coded, float32 [K]."""
    losses_R: NDArray[np.float32]
    """Length of the part of each row that its code lost, float32 [R]."""
    factor: int = FIRST_FACTOR
    """Candidates for each result to begin with."""
    fixed: bool = False
    """Whether the build file fixed `factor`: more candidates are then taken only to tell ties apart."""
    decoded: bool = False
    """Whether `source` decodes codes: estimates then differ from its scores by rounding alone."""
    measured: float = 1.0
    """Measured recall of the worst kind of query, for answers whose own bound says nothing."""


@dataclass(frozen=True)
class MeasuredRecall:
    """Measured recall of compressed search."""

    plain_factor: int
    """Candidates for each result that plain FAISS needs."""
    first_factor: int
    """Candidates for each result to begin with where they are widened."""
    kinds: tuple[RecallRecord, ...]
    """Recall by kind of query."""

    @property
    def lowest(self) -> float:
        """Recall of the worst kind."""
        return min(record.recall_at_10 for record in self.kinds)


class RecallMeasurement(Protocol):
    """Measures the recall of the codes while an index is written. `byline.search.recall.measure_recall` is one."""

    def __call__(
        self,
        codes: Codes,
        vectors: VectorRows,
        stretches: Sequence[Stretch],
        *,
        seed: int,
        queries: Mapping[str, NDArray[np.float32]],
        progress: Progress | None,
    ) -> MeasuredRecall:
        """Measure recall@10 and choose the numbers of candidates.

        Args:
            codes: The codes that were written.
            vectors: The stored rows: the truth.
            stretches: The parts of a vector, with their scale exponents.
            seed: Seed of the queries that are drawn.
            queries: Features of real queries [Q, K] by target, without the scales.
            progress: Called with (step, done, total).

        Returns:
            The numbers of candidates, and the recall of each kind of query.
        """
