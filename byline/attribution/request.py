"""What can be asked of an index: a query in one of four forms, and options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from byline.api.filters import Filter
from byline.api.query import Direction, Similarity
from byline.errors import InvalidQuery


@dataclass(frozen=True, kw_only=True)
class AttributionRequest:
    """One question. Exactly one of `query`, `query_set`, `gradient` and `feature` is given."""

    query: Mapping[str, Any] | None = None
    """A payload as the Task's `query.payload` describes it; predicted first where incomplete."""
    query_set: Sequence[Mapping[str, Any]] | None = None
    """Several payloads that get one answer: the mean of their targets is attributed."""
    gradient: Mapping[str, Tensor] | None = None
    """Gradients of the loss, or of a negated target, by `member/parameter`: see
    `Attributor.expected_gradients()`."""
    feature: Sequence[float] | NDArray[np.floating[Any]] | None = None
    """A finished query feature of the index's width."""
    target: str | None = None
    """A target of the Task; None takes the recipe's. Only with `query` and `query_set`."""
    baseline: Similarity | None = None
    """Rank by similarity in place of influence: `"bm25"`, `"representation"`. Only with `query` and `query_set`; of a
    set the mean of the queries' scores counts."""
    k: int = 10
    """How many examples are wanted at each end; fewer come back only where fewer exist."""
    direction: Direction = "proponents"
    """Proponents raised the target (lowered the loss), opponents lowered it."""
    filter: Filter | None = None
    """Search only these examples; None searches all."""
    members: bool = False
    """Whether each score is broken down by member, the owners' too."""
    shares: bool = False
    """Whether the answer carries each owner's share as well. Shares are always over all rows."""
    drill_down: bool = False
    """On an index of groups: score the top groups' points one by one, and return points."""
    drill_groups: int = 10
    """How many groups a drill-down goes into, at each end."""
    owners_limit: int | None = None
    """How many owners are listed in the shares, largest score first; None lists all."""

    def __post_init__(self) -> None:
        forms = [self.query, self.query_set, self.gradient, self.feature]
        given = sum(form is not None for form in forms)
        if given != 1:
            raise InvalidQuery(f"expected exactly one of query, query_set, gradient and feature, got {given}")
        if self.k < 1:
            raise InvalidQuery("expected k to be at least 1, got a smaller number")
        if self.drill_groups < 1:
            raise InvalidQuery("expected drill_groups to be at least 1, got a smaller number")
        if self.owners_limit is not None and self.owners_limit < 1:
            raise InvalidQuery("expected owners_limit to be at least 1, got a smaller number")
        if self.target is not None and self.query is None and self.query_set is None:
            raise InvalidQuery(
                "expected target only with query or query_set: a gradient or feature has its own"
            )
        if self.baseline is not None:
            self._check_similarity()

    def _check_similarity(self) -> None:
        """Refuse what only influence has."""
        if self.query is None and self.query_set is None:
            raise InvalidQuery(
                "expected baseline only with query or query_set: similarity compares items, not gradients or features"
            )
        if self.shares:
            raise InvalidQuery(
                "expected shares without a baseline: shares follow influence scores, never similarity"
            )
        for name in ("target", "members", "drill_down"):
            if getattr(self, name):
                raise InvalidQuery(f"expected {name} without a baseline: only influence scores have it")

    @property
    def searched(self) -> int:
        """How many rows of the index are wanted at each end."""
        return self.drill_groups if self.drill_down else self.k

    @property
    def entries(self) -> int:
        """Most training points and limited owners that the answer can list."""
        ends = 2 if self.direction == "both" else 1
        return self.k * ends + ((self.owners_limit or 0) if self.shares else 0)
