"""The options of a question, declared once.

HTTP bodies, `AttributionRequest`, the client's keywords and the options of `byline query` all come from
`AttributionOptions`. It needs neither torch nor an index.
"""

import operator
from collections.abc import Mapping
from typing import Annotated, Any, TypedDict, Unpack

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from byline.api.documents import Body
from byline.api.terms import (
    DRILLED_GROUPS,
    LEAST_COUNT,
    LISTED_END,
    LISTED_OWNERS,
    LISTED_POINTS,
    MOST_REFINE_STEPS,
    MOST_REPLICATES,
    REFINE_STEPS,
    REPLICATES,
    Direction,
    Ranking,
)
from byline.api.validation import describe_errors, type_name
from byline.errors import InvalidQuery


def _plain_integer(value: object) -> object:
    """Read numpy's and torch's integers as Python's."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return value
    try:
        return operator.index(value)
    except TypeError:  # an array, or a tensor of fractions
        return value


def _require_scalar(value: object) -> object:
    """Refuse a container in one message: pydantic has one for each type of the union."""
    if isinstance(value, str | bool | int | float | None):
        return value
    raise InvalidQuery(f"expected text, a number, true or false, or null, got {type_name(value)}")


Count = Annotated[int, BeforeValidator(_plain_integer)]
Scalar = Annotated[
    str | bool | int | float | None, BeforeValidator(_require_scalar), BeforeValidator(_plain_integer)
]


class Filter(BaseModel):
    """Select the rows that may be returned. Every given field must match. A list matches if one entry does."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    id: list[str] | None = Field(default=None, max_length=1_000)
    """Ids to return. With `drill_down`, the ids of the groups to score."""
    owner: list[str] | None = Field(default=None, max_length=1_000)
    """Owners whose training points may be returned."""
    license: list[str] | None = Field(default=None, max_length=1_000)
    """Licenses whose training points may be returned."""
    label: list[str] | None = Field(default=None, max_length=1_000)
    """Labels whose training points may be returned."""
    attributes: Mapping[str, Scalar] = Field(default_factory=dict, max_length=20)
    """Top-level attributes with their required values. `true` does not equal 1, while 1 equals 1.0."""


class OwnerOptions(Body):
    """The option of every answer that lists owners."""

    model_config = ConfigDict(frozen=True)

    owners_limit: Count = Field(default=LISTED_OWNERS, ge=LEAST_COUNT)
    """Number of owners to list, by descending score. `others` sums up the rest."""


class RefineOption(Body):
    """The option of every question that Byline can solve."""

    model_config = ConfigDict(frozen=True)

    refine: Count = Field(default=REFINE_STEPS, ge=0, le=MOST_REFINE_STEPS)
    """Solve the query by as many steps of conjugate gradients from the index's own solution, each with a pass over
    training points. Ranks better, above all where few points are removed. Excludes `feature` and `baseline`."""


class TargetOption(RefineOption):
    """The options of every question that Byline differentiates."""

    model_config = ConfigDict(frozen=True)

    target: str | None = Field(default=None, max_length=100)
    """Quantity to attribute: one of the index's `targets`. The recipe sets the default."""


class RankingOptions(OwnerOptions, RefineOption):
    """The options that a query, a gradient and a feature share."""

    k: Count = Field(default=LISTED_POINTS, ge=LEAST_COUNT)
    """Number of training points to return at each end. Fewer come back if fewer exist."""
    direction: Direction = LISTED_END
    """Proponents raised the target (lowered the loss). Opponents lowered it."""
    members: bool = False
    """Break each score down by member of the ensemble, for training points and for owners."""
    shares: bool = False
    """Add the share of each owner. Shares always cover all rows, regardless of `filter`."""
    drill_down: bool = False
    """On an index of groups: score the points of the top groups one by one, and return points."""
    drill_groups: Count = Field(default=DRILLED_GROUPS, ge=LEAST_COUNT)
    """Number of groups to drill into at each end."""


class AttributionOptions(RankingOptions, TargetOption):
    """Every option of a question."""

    filter: Filter | None = None
    """Restrict the search to some of the training points."""
    baseline: Ranking | None = None
    """Rank by one of the index's `baselines` instead of influence: by similarity, or by a `blend` of both. Requires a
    query, and excludes `target`, `members`, `shares`, `drill_down`, `refine`, `tokens` and `replicates`."""
    tokens: bool = False
    """Tell each listed score token by token: what each token of the query owes to the training point, and which of its
    tokens did it. Requires a query, and excludes `baseline`, `drill_down` and `refine`."""
    replicates: Count = Field(default=REPLICATES, ge=0, le=MOST_REPLICATES)
    """Of a diffusion model: score the mean over so many independent sets of timesteps and noise for the query, and tell
    each listed score by timestep and with its standard error over the sets, from 2 on. Requires a query, and excludes
    `baseline`, `drill_down`, `refine` and `tokens`."""

    @field_validator("baseline", mode="before")
    @classmethod
    def _check_baseline(cls, name: object) -> object:
        if name in ("knn_shapley", "patches"):
            raise InvalidQuery(
                f"expected 'bm25' or 'representation' or 'blend', got another: {name} is offered by `byline scores` only"
            )
        return name


class RankingKeywords(TypedDict, total=False):
    """The fields of `AttributionOptions` that fit every form of a question, typed as keywords."""

    k: int
    direction: Direction
    filter: Filter | Mapping[str, Any] | None
    members: bool
    shares: bool
    drill_down: bool
    drill_groups: int
    owners_limit: int
    refine: int


class AttributionKeywords(RankingKeywords, total=False):
    """The fields of `AttributionOptions`, typed as keywords for `Attributor.attribute` and `Client.attribute`."""

    target: str | None
    baseline: Ranking | None
    tokens: bool
    replicates: int


class SharesKeywords(TypedDict, total=False):
    """The options of a question for shares alone, typed as keywords."""

    target: str | None
    owners_limit: int
    refine: int


def options_of(**options: Unpack[AttributionKeywords]) -> AttributionOptions:
    """Check keywords against `AttributionOptions`.

    Args:
        **options: Fields of `AttributionOptions`.

    Raises:
        InvalidQuery: An option is unknown or invalid. The message names the option, never its value.
    """
    try:
        return AttributionOptions.model_validate(options)
    except ValidationError as error:
        raise InvalidQuery(describe_errors(error, AttributionOptions)) from None
