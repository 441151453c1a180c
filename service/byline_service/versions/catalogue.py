"""Sorted lists of an index. They are computed once, since an index never changes."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from byline.api.query import Filter
from byline.index.index import AttributionIndex


class Catalogue:
    """Sorted lists of one index.

    Args:
        index: The opened index.
    """

    def __init__(self, index: AttributionIndex) -> None:
        self.index = index

    @cached_property
    def owners(self) -> list[tuple[str, int, list[str]]]:
        """Return every owner with the number of its rows and its licenses, by name."""
        return self.index.examples.owners()

    @cached_property
    def licenses(self) -> list[tuple[str | None, int]]:
        """Return every license with the number of its rows, the most frequent first."""
        return self.index.examples.licenses()

    @cached_property
    def by_self_influence(self) -> NDArray[np.int64]:
        """Return the rows by self-influence, the largest first; ties by row."""
        scores_R = np.asarray(self.index.self_influence)
        return np.lexsort((np.arange(len(scores_R)), -scores_R))

    def rows_of(self, owners: frozenset[str] | None) -> NDArray[np.int64] | None:
        """Return the rows of some owners in ascending order. None for all owners."""
        if owners is None:
            return None
        return self.index.examples.rows_matching(Filter(owner=sorted(owners)))
