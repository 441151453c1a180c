"""A question to an index: a query in one of four forms, with its options."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError, model_validator
from torch import Tensor

from byline.api.query import AttributionKeywords, AttributionOptions, SharesKeywords, options_of
from byline.api.terms import Asked
from byline.api.validation import describe_errors
from byline.errors import InvalidQuery

if TYPE_CHECKING:
    Payload = Mapping[str, Any]
    Payloads = Sequence[Mapping[str, Any]]
    Gradients = Mapping[str, Tensor]
    Feature = Sequence[float] | NDArray[np.floating[Any]]
else:  # checked against an index by `Attributor.check`, and neither copied nor validated before
    Payload = Payloads = Gradients = Feature = Any


class AttributionRequest(AttributionOptions):
    """One question. Give exactly one of `query`, `query_set`, `gradient` and `feature`.

    Raises:
        InvalidQuery: An option is unknown or invalid, or two options exclude each other.
    """

    query: Payload | None = None
    """A payload that fits the Task's `query.payload`. If it is incomplete, the model predicts the rest first."""
    query_set: Payloads | None = None
    """Several payloads with one answer: the mean of their targets is attributed."""
    gradient: Gradients | None = None
    """Gradients of the loss, or of a negated target, by `member/parameter`: see
    `Attributor.expected_gradients()`."""
    feature: Feature | None = None
    """A finished query feature with as many numbers as the index is wide."""
    examples: bool = True
    """False lists no training points, only owners."""
    every_owner: bool = False
    """List every owner, regardless of `owners_limit`. A booked event keeps the scores of all."""
    works: int = 0
    """Rows of each owner to name in the shares, if they list all owners. A booked event keeps them. They cost a scan of
    all rows."""

    if not TYPE_CHECKING:  # the plugin of mypy types the constructor by the fields

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise InvalidQuery(describe_errors(error, type(self))) from None

    @model_validator(mode="after")
    def _check_form(self) -> Self:
        """Require one form of the query, and options that fit it."""
        forms = [self.query, self.query_set, self.gradient, self.feature]
        given = sum(form is not None for form in forms)
        if given != 1:
            raise InvalidQuery(f"expected exactly one of query, query_set, gradient and feature, got {given}")
        differentiated = self.query is not None or self.query_set is not None
        if self.target is not None and not differentiated:
            raise InvalidQuery(
                "expected target only with query or query_set: a gradient or feature has its own"
            )
        if self.baseline is not None:
            if not differentiated:
                raise InvalidQuery(
                    "expected baseline only with query or query_set: similarity compares items, not gradients or features"
                )
            self._check_similarity()
        if self.tokens:
            self._check_tokens()
        if self.replicates:
            self._check_replicates()
        if self.refine and self.feature is not None:
            raise InvalidQuery(
                "expected refine with a query, query_set or gradient: a finished feature has no gradient to solve for"
            )
        return self

    def _check_similarity(self) -> None:
        """Refuse the options that only influence has."""
        if self.shares:
            raise InvalidQuery(
                "expected shares without a baseline: shares follow influence scores, never similarity"
            )
        for name in ("target", "members", "drill_down", "refine", "tokens", "replicates"):
            if getattr(self, name):
                raise InvalidQuery(f"expected {name} without a baseline: only influence scores have it")

    def _check_tokens(self) -> None:
        """Refuse what cannot be told token by token."""
        if self.query is None:
            raise InvalidQuery("expected tokens with a query, whose tokens are told, got another form")
        for name in ("drill_down", "refine"):
            if getattr(self, name):
                raise InvalidQuery(
                    f"expected tokens without {name}: scores of stored rows alone are taken apart"
                )

    def _check_replicates(self) -> None:
        """Refuse what has no draws of its own."""
        if self.query is None:
            raise InvalidQuery(
                "expected replicates with a query, whose draws are made anew, got another form"
            )
        for name in ("drill_down", "refine", "tokens"):
            if getattr(self, name):
                raise InvalidQuery(
                    f"expected replicates without {name}: it takes scores of stored rows apart by the query's draws"
                )

    @property
    def averaged(self) -> bool:
        """Whether the mean of a target over several items is attributed."""
        return self.query_set is not None or self.replicates > 0

    @property
    def asked(self) -> Asked:
        """Return the form of the question."""
        forms: tuple[Asked, ...] = ("query", "query_set", "gradient", "feature")
        return next(form for form in forms if getattr(self, form) is not None)

    @property
    def by_gradients(self) -> bool:
        """Whether the scores need the query's gradient: influence, or a blend of it."""
        return self.baseline is None or self.baseline == "blend"

    def changed(self, **fields: Any) -> "AttributionRequest":
        """Copy the request with other values of some fields.

        Args:
            **fields: New values by name.

        Raises:
            InvalidQuery: The new values do not fit the others.
        """
        return AttributionRequest(**(dict(self) | fields))

    @property
    def searched(self) -> int:
        """Number of rows of the index to find at each end."""
        return self.drill_groups if self.drill_down else self.k

    @property
    def listed_owners(self) -> int | None:
        """Number of owners to list. None lists all."""
        return None if self.every_owner else self.owners_limit

    @property
    def entries(self) -> int:
        """Largest number of training points and limited owners that the answer can list."""
        ends = 2 if self.direction == "both" else 1
        return self.k * ends + ((self.listed_owners or 0) if self.shares else 0)


def request_of(
    query: AttributionRequest | Mapping[str, Any], options: AttributionKeywords | SharesKeywords
) -> AttributionRequest:
    """Make a request of a payload and keywords, or take a whole request.

    Args:
        query: A payload, or a request.
        options: Options beside a payload.

    Raises:
        InvalidQuery: An option is invalid, or options stand beside a whole request.
    """
    if not isinstance(query, AttributionRequest):
        return AttributionRequest(query=query, **dict(options_of(**options)))
    if options:
        raise InvalidQuery("expected the options inside the AttributionRequest, got keywords beside it")
    return query
