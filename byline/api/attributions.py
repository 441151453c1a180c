"""What clients send and get, beside the answers themselves (`byline.attribution`)."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from byline.api.answer import Answer
from byline.api.example import Example
from byline.api.query import AttributionOptions, OwnerOptions, TargetOption
from byline.api.terms import Similarity
from byline.index.quality_card import QualityCard

Word = Annotated[str, Field(max_length=1000)]
Words = Annotated[list[Word], Field(min_length=1, max_length=100)]
Payload = dict[str, Any]


class Body(BaseModel):
    """What clients send: unknown fields are refused, and so are other types of JSON values."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class Document(BaseModel):
    """What clients get: finite numbers only."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class QueryBody(TargetOption):
    """A question in one form: give exactly one of `query`, `query_set` and `feature`."""

    query: Payload | None = None
    """A query that fits the index's `query_schema`. The model predicts what the query leaves out."""
    query_set: Annotated[list[Payload], Field(min_length=1)] | None = None
    """Several queries with one answer: the mean of their targets is attributed."""
    feature: Annotated[list[float], Field(min_length=1)] | None = None
    """A finished query feature with as many numbers as the index is wide."""


class AttributionBody(QueryBody, AttributionOptions):
    """A question with its options, or a batch of `queries` that share their options."""

    queries: Annotated[list[Payload], Field(min_length=1)] | None = None
    """Several queries with an answer each."""


class SharesBody(QueryBody, OwnerOptions):
    """A question for the owners' shares alone, which always cover all rows."""


class Answers(Document):
    """Answers to a batch of `queries`, in their order."""

    answers: list[Answer]
    """One a query."""


class Progress(Document):
    """How far an answer is: the data of a `progress` event."""

    stage: str
    """What is being done: `queue`, `predict`, `gradient`, `solve`, `transform`, `search`, `drill` or `join`; more may
    come."""
    ahead: int
    """Queries before this request's turn; 0 once it is being computed."""
    answered: int
    """Questions of this request that have their answers."""
    questions: int
    """Of how many: the queries of a batch, else 1."""
    done: int
    """Steps of the stage that are done: members, iterations, training points of a drill-down."""
    total: int
    """Of how many, at most; 0 where the stage counts none."""
    fraction: float = Field(ge=0, le=1)
    """Of the stage's work that is done; 0 where the stage counts no steps."""
    seconds: float
    """Since the request came."""
    seconds_left: float | None
    """Estimated, of the queue, the stage or the batch; null where nothing is known. Solved queries often end sooner."""


class MemberInfo(Document):
    """One member of an index's ensemble."""

    name: str
    """As in gradient names: `c0-m3/fc.weight`."""
    checkpoint: int
    """Position of its checkpoint in the Task."""
    mask_seed: int | None
    """Seed of its dropout mask."""
    adapter: int | None
    """Position of its LoRA adapter in the checkpoint's."""


class IndexSummary(Document):
    """An index in the list."""

    name: str
    """In the URLs."""
    index: str
    """The index that the name stands for: itself, or of an alias another."""
    version: str
    """The version that is served."""
    rows: int
    """What it has vectors of."""
    unit: Literal["point", "group"]
    """What a row is: a training point, or a group of them."""
    points: int
    """Training points that the rows stand for."""
    recipe: str
    """Name of its recipe."""


class IndexList(Document):
    """Every index that is served."""

    indexes: list[IndexSummary]
    """By name."""


class IndexInfo(IndexSummary):
    """Everything about an index that a client needs to ask it."""

    recipe_fingerprint: str
    """Digest of everything that determines a stored vector."""
    recipe_document: dict[str, JsonValue]
    """The recipe in full."""
    width: int
    """Numbers of a feature."""
    members: list[MemberInfo]
    """The ensemble, in the order of the feature."""
    owners: int
    """Number of owners."""
    search: Literal["exact", "compressed"]
    """How it is searched."""
    targets: list[str]
    """Names that `target` takes; empty where the index takes no queries."""
    default_target: str
    """The target of a query that names none."""
    baselines: list[Similarity]
    """What `baseline` takes; empty where the service offers none."""
    query_schema: dict[str, Any] | None
    """JSON schema of `query`; null where the index takes no queries."""
    gradients: dict[str, list[int]] | None
    """Names and shapes of the tensors of a gradient body; null where the index takes none."""
    quality_card: QualityCard | None
    """What was measured about this version when the service opened it; null where nothing was."""
    quality_card_problem: str | None
    """Why a card that lies beside the version is not used."""


class ExampleRow(Document):
    """One training point."""

    row: int
    """Row of the index."""
    example: Example
    """Its metadata."""


class ExamplePage(Document):
    """Some examples, by row."""

    examples: list[ExampleRow]
    """At most `limit`."""
    next: str | None
    """Pass it as `after` for the page that follows; null on the last one."""


class SelfInfluenceRow(ExampleRow):
    """One training point and the hold it has on itself."""

    self_influence: float
    """Its score for itself: large where nothing else supports the point."""


class SelfInfluencePage(Document):
    """Some examples, largest self-influence first: mislabelled ones come early."""

    examples: list[SelfInfluenceRow]
    """At most `limit`."""
    next: str | None
    """Pass it as `after` for the page that follows; null on the last one."""


class OwnerInfo(Document):
    """One owner."""

    owner: str
    """The owner's name."""
    examples: int
    """How many are the owner's."""
    licenses: list[str]
    """Their licenses."""


class OwnerPage(Document):
    """Some owners, by name."""

    owners: list[OwnerInfo]
    """At most `limit`."""
    next: str | None
    """Pass it as `after` for the page that follows; null on the last one."""


class LicenseInfo(Document):
    """One license."""

    license: str | None
    """As the examples state it; null for those that state none."""
    examples: int
    """Rows under it."""


class OwnerCoverage(Document):
    """Whose work the rows of an index are, in sum."""

    rows: int
    """All of them."""
    with_owner: int
    """Rows that have an owner, and can be paid for."""
    without_owner: int
    """Rows that have none."""
    licenses: list[LicenseInfo]
    """Rows by license, the commonest first."""


class Health(Document):
    """Whether the service can be sent requests."""

    status: Literal["ok", "ready"]
    """`ok`: the process lives. `ready`: every index answered its first query."""
    behind: list[str] = []
    """Names that this replica serves another version under than their aliases say: it is loading it, or cannot."""
