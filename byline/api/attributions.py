"""Wire documents of questions, indexes, training points and owners. `byline.api.answer` holds the answers."""

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from byline.api.answer import Answer
from byline.api.documents import Document, Payload
from byline.api.example import Example
from byline.api.quality_card import QualityCard
from byline.api.query import AttributionOptions, OwnerOptions, TargetOption
from byline.api.terms import Ranking


class QueryBody(TargetOption):
    """A question in one form. Give exactly one of `query`, `query_set` and `feature`."""

    query: Payload | None = None
    """A query that fits the index's `query_schema`. The model predicts what the query leaves out."""
    query_set: Annotated[list[Payload], Field(min_length=1)] | None = None
    """Several queries with one answer: the mean of their targets is attributed."""
    feature: Annotated[list[float], Field(min_length=1)] | None = None
    """A finished query feature with as many numbers as the index's `width`."""


class AttributionBody(QueryBody, AttributionOptions):
    """A question with its options, or a batch of `queries` that share their options."""

    queries: Annotated[list[Payload], Field(min_length=1)] | None = None
    """Several queries with an answer each."""


class SharesBody(QueryBody, OwnerOptions):
    """A question for the owners' shares alone. Shares always cover all rows."""


class Answers(Document):
    """The answers to a batch of `queries`."""

    answers: list[Answer]
    """Answers in the order of the queries."""


class Progress(Document):
    """The progress of an answer: the data of a `progress` event."""

    stage: str
    """Current stage: `queue`, `predict`, `gradient`, `solve`, `transform`, `search`, `drill`, `tokens`, `noise` or `join`.
    Later releases may add stages."""
    ahead: int
    """Number of queries before this request in the queue. Zero once the computation has started."""
    answered: int
    """Number of questions of this request that have an answer."""
    questions: int
    """Number of questions of this request: the queries of a batch, otherwise 1."""
    done: int
    """Number of completed steps of the stage: members, iterations, or training points of a drill-down."""
    total: int
    """Largest possible number of steps of the stage. Zero if the stage counts no steps."""
    fraction: float = Field(ge=0, le=1)
    """Completed fraction of the stage. Zero if the stage counts no steps."""
    seconds: float
    """Seconds since the service received the request."""
    seconds_left: float | None
    """Estimated seconds until the end of the queue, the stage or the batch. Null without an estimate. A solved query
    often ends sooner."""


class MemberInfo(Document):
    """A member of an index's ensemble."""

    name: str
    """Name of the member in gradient names such as `c0-m3/fc.weight`."""
    checkpoint: int
    """Position of the member's checkpoint in the Task."""
    mask_seed: int | None
    """Seed of the member's dropout mask."""
    adapter: int | None
    """Position of the member's LoRA adapter in the checkpoint."""


class IndexSummary(Document):
    """An index in the list of indexes."""

    name: str
    """Name of the index in URLs. It can be an alias."""
    index: str
    """Name of the index itself. It differs from `name` if `name` is an alias."""
    version: str
    """Served version of the index."""
    rows: int
    """Number of stored vectors."""
    unit: Literal["point", "group"]
    """Unit of a row: a training point, or a group of training points."""
    points: int
    """Number of training points that the rows represent."""
    recipe: str
    """Name of the recipe."""


class IndexInfo(IndexSummary):
    """The complete description of an index."""

    recipe_fingerprint: str
    """Digest of everything that determines a stored vector."""
    recipe_document: dict[str, JsonValue]
    """The complete recipe."""
    width: int
    """Number of components of a feature."""
    members: list[MemberInfo]
    """Members of the ensemble, in the order of the feature."""
    owners: int
    """Number of owners."""
    search: Literal["exact", "compressed"]
    """Search method of the index."""
    targets: list[str]
    """Allowed values of `target`. Empty if the index takes no queries."""
    default_target: str
    """Target of a query without `target`."""
    baselines: list[Ranking]
    """Allowed values of `baseline`. Empty if the service offers no baseline."""
    shares: bool
    """Whether `shares` may be requested. An index whose groups mix owners has none."""
    tokens: bool
    """Whether `tokens` may be requested: the index's recipe and Task tell scores token by token."""
    replicates: bool
    """Whether `replicates` may be requested: the index's Task declares the random draws in its loss, as diffusion models
    do, and its recipe tells scores by them."""
    query_schema: dict[str, Any] | None
    """JSON schema of `query`. Null if the index takes no queries."""
    gradients: dict[str, list[int]] | None
    """Names and shapes of the tensors in a gradient body. Null if the index takes no gradients."""
    quality_card: QualityCard | None
    """Measurements of this version at the time when the service opened it. Null without measurements."""
    quality_card_problem: str | None
    """Reason why the service ignores the quality card beside the version."""


class ExampleRow(Document):
    """A training point."""

    row: int
    """Row of the training point in the index."""
    example: Example
    """Metadata of the training point."""
    image: str | None = None
    """Path of the training point's thumbnail. Null without one."""


class SelfInfluenceRow(ExampleRow):
    """A training point with its self-influence."""

    self_influence: float
    """Score of the training point for itself. It is large if no other training point supports this one."""


class OwnerInfo(Document):
    """An owner."""

    owner: str
    """Name of the owner."""
    examples: int
    """Number of training points of the owner."""
    licenses: list[str]
    """Licenses of these training points."""


class LicenseInfo(Document):
    """A license."""

    license: str | None
    """License as the training points state it. Null collects the points without a license."""
    examples: int
    """Number of rows under this license."""


class OwnerCoverage(Document):
    """The owners and licenses of an index in numbers."""

    rows: int
    """Number of rows."""
    with_owner: int
    """Number of rows with an owner. Only these rows can earn compensation."""
    without_owner: int
    """Number of rows without an owner."""
    licenses: list[LicenseInfo]
    """Licenses, most frequent first."""


class Health(Document):
    """The readiness of the service."""

    status: Literal["ok", "ready"]
    """`ok`: the process runs. `ready`: every index answered its first query."""
    behind: list[str] = Field(default=[])
    """Aliases for which this replica still serves another version, because it loads the new one or cannot load it."""
