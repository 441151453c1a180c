"""What is listed of an index, sorted once: an index never changes."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from byline.api.query import Filter
from byline.index.index import AttributionIndex


class Catalogue:
    """Lists of one index.

    Args:
        index: The opened index.
    """

    def __init__(self, index: AttributionIndex) -> None:
        self.index = index

    @cached_property
    def owners(self) -> list[tuple[str, int, list[str]]]:
        """Every owner with the number of its rows and its licenses, by name."""
        return self.index.examples.owners()

    @cached_property
    def licenses(self) -> list[tuple[str | None, int]]:
        """Every license with the number of its rows, the commonest first."""
        return self.index.examples.licenses()

    @cached_property
    def by_self_influence(self) -> NDArray[np.int64]:
        """Rows, largest self-influence first; ties by row."""
        scores_R = np.asarray(self.index.self_influence)
        return np.lexsort((np.arange(len(scores_R)), -scores_R))

    def rows_of(self, owners: frozenset[str] | None) -> NDArray[np.int64] | None:
        """Rows of some owners, ascending; None where everybody's are meant."""
        if owners is None:
            return None
        return self.index.examples.rows_matching(Filter(owner=sorted(owners)))
