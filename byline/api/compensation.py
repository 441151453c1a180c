"""Wire documents of events and policies. Amounts are integers in minor units of the currency."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from byline.api.attributions import QueryBody
from byline.api.currencies import LARGEST_AMOUNT, MINOR_DIGITS
from byline.api.documents import Body, Document, StoredDocument
from byline.api.receipts import EventMember, Receipt, Signature
from byline.api.terms import RAW_FORMS, Asked, ErrorScope

Weight = Annotated[int, Field(ge=1, le=10**9)]
Reference = Annotated[str, Field(min_length=1, max_length=200)]
PolicyName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
RecipeDigest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
TargetName = Annotated[str, Field(min_length=1, max_length=200)]
Metric = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Amount = Annotated[int, Field(strict=True, ge=0, le=LARGEST_AMOUNT)]
"""Minor units of the policy's currency."""
Calendar = Literal["day", "week", "month", "quarter", "year"]
"""Kinds of periods, in UTC. Weeks begin on Monday (ISO 8601)."""

Basis = Literal["usage", "training"]
"""`usage` divides a pool over events, `training` over the owners of an index."""
Fallback = Literal["refuse", "equal", "by_size", "hold"]
"""Division where attribution is not reliable."""


class Reason(StrEnum):
    """A reason not to pay for an event."""

    INCOMPLETE_COVERAGE = "incomplete_coverage"
    NO_INTERVAL = "no_interval"
    WITHIN_CHECKPOINT = "within_checkpoint"
    NO_QUALITY = "no_quality"
    LOW_QUALITY = "low_quality"
    NOT_ADMITTED = "not_admitted"
    OTHER_TARGET = "other_target"
    OTHER_RECIPE = "other_recipe"
    REPEATED_REFERENCE = "repeated_reference"
    TOO_HEAVY = "too_heavy"
    DAMAGED = "damaged"
    NO_ROSTER = "no_roster"


class EventBody(QueryBody):
    """An attributed generation to book as an event. Give exactly one of `query`, `query_set`, `feature` and `receipt`."""

    receipt: Receipt | None = None
    """Receipt of an answer, as the service signed it. Its event has the answer's id, so it is booked once."""

    weight: Weight = 1
    """Weight of the event when a pool is divided."""
    reference: Reference | None = None
    """Your own name for the generation."""


class EventDocument(Document):
    """A booked event."""

    id: str
    """Id of the event."""
    booked_at: str
    """Time of the booking in UTC. It determines the event's period."""
    reference: str | None
    """Your own name for the generation."""
    weight: int
    """Weight of the event when a pool is divided."""
    index: str
    """Name of the index."""
    version: str
    """Version of the index that answered."""
    manifest: str
    """Digest of the version's manifest."""
    recipe_fingerprint: str
    """Digest of everything that determines a stored vector."""
    target: str | None
    """Attributed target. Null for a gradient or a feature."""
    asked: Asked
    """Form of the question. The service differentiated a `query` or a `query_set` itself. A `gradient` or a `feature` is
    the caller's own computation."""
    question: str
    """SHA-256 of the question."""
    answered_at: str
    """Time of the answer in UTC."""
    standard_error_scope: ErrorScope | None
    """Variation between members that the standard errors cover."""
    standard_error_units: int
    """Number of independent units behind the standard errors. A bound uses Student's t with one degree of freedom
    less."""
    owners: int
    """Number of owners with a score."""
    signature: Signature
    """Signature of the answer that the event was booked from."""
    sha256: str
    """Digest of the complete stored event."""


class WorkScore(Document):
    """A work behind an owner's score in an event."""

    example: str
    """Id of the training point."""
    score: int
    """Score summed over the members, as an integer: a score is its integer times 2^-scale."""


class EventShare(Document):
    """The share of one owner in an event."""

    owner: str
    """Name of the owner."""
    scores: list[int]
    """Scores by member, as integers: a score is its integer times 2^-scale."""
    share: float
    """Share of the owner, between 0 and 1."""
    standard_error: float
    """Standard error of the share, rounded up."""
    works: list[WorkScore]
    """Works of the owner with the largest absolute scores."""
    rest: int
    """Score of the owner's other works. Works and rest add up to the sum of `scores`."""


class EventDetails(EventDocument):
    """An event with its scores."""

    members: list[EventMember]
    """Members of the ensemble, in the order of the scores."""
    scale: int
    """Binary scale of the scores: a score is its integer times 2^-scale."""
    shares: list[EventShare]
    """Shares of all owners, ordered by name."""


class Quality(Body):
    """The minimum quality that a policy requires."""

    metric: Metric = "lds"
    """Metric as `byline evaluate --metric` names it."""
    least: Annotated[float, Field(ge=-1, le=1)]
    """Threshold."""
    by: Literal["low", "value"] = "low"
    """Figure that must reach the threshold: the lower end of the 95 % interval, or the value."""


class PolicyBody(Body):
    """A new policy, or a new revision of a policy."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "royalties", "currency": "EUR", "pool": 100_000}]}
    )

    name: PolicyName
    """Name of the policy. A new name creates a policy. A known name adds a revision."""
    currency: Annotated[str, Field(json_schema_extra={"enum": sorted(MINOR_DIGITS)})]
    """Currency code of ISO 4217."""
    pool: Amount
    """Pool of one period, or of one event of weight 1, in minor units."""
    spread: Literal["period", "event"] = "period"
    """`period` divides the pool over the events of a period by weight. `event` adds the pool times the weight for each
    event, up to the budget."""
    period: Calendar = "month"
    """Calendar of the runs, in UTC. Each run pays one finished period. A revision cannot change it."""
    budget: Amount | None = None
    """Largest amount of one period, in minor units. A policy with `spread: event` must have one. With `spread: period`,
    null takes the pool, and another amount than the pool is refused."""
    largest_weight: Weight = 100
    """Largest weight of an event. A heavier event is not paid for."""
    group: PolicyName = "default"
    """Group of policies that pay for an event once together. Policies without a group share one, in all currencies. A
    revision cannot change it."""
    clipping: Literal["owner_sum"] = "owner_sum"
    """`owner_sum` counts a negative sum as zero, after the scores of the owner's works are summed."""
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] | None = None
    """Confidence that an owner's share is at least the part that is paid at once, `share - z SE`. The service rounds it
    to three decimals. z is the quantile of Student's t for the event's independent units: 2.92 for three checkpoints
    at .95. Null takes .95, unless a multiplier is given."""
    multiplier: Annotated[float, Field(ge=0, le=1000)] | None = None
    """Fixed z for every event, instead of a confidence. The service rounds it to four decimals."""
    floor: Amount = 0
    """Smallest payout. The service carries a smaller amount into the next run."""
    minimum_quality: Quality | None = None
    """Quality that the card of the index must show. Null requires no card."""
    allow_within_checkpoint: bool = False
    """Whether to accept standard errors over masks of one checkpoint. They miss the variance between models."""
    indexes: Annotated[list[PolicyName], Field(max_length=100, default_factory=list)]
    """Indexes whose events the policy pays for. An empty list selects all indexes."""
    asked: Annotated[list[Asked], Field(min_length=1, default_factory=lambda: list(RAW_FORMS))]
    """Forms of questions that the policy pays for. The default is `query` and `query_set`. A caller who may send a
    `gradient` or a `feature` can choose the owners' shares."""
    targets: Annotated[list[TargetName], Field(max_length=100, default_factory=list)]
    """Targets that the policy pays for. An empty list selects all targets. A gradient or a feature has no target, so a
    list excludes it."""
    recipes: Annotated[list[RecipeDigest], Field(max_length=100, default_factory=list)]
    """Values of `recipe_fingerprint` that the policy pays for. An empty list selects all recipes."""
    unique_references: bool = True
    """Whether the policy pays for one event of each `reference` alone: the first that was booked. False pays for all."""
    basis: Basis = "usage"
    """`usage` divides the pool over events. `training` divides it over the owners of one index, by `fallback`: `equal` or
    `by_size`. It needs no events. A revision cannot change it."""
    fallback: Fallback = "refuse"
    """Payment of an event whose attribution is not reliable (`no_interval`, `within_checkpoint`, `no_quality`,
    `low_quality`). `refuse` does not pay for it. `equal` and `by_size` divide it over the owners, and `hold` holds the
    owners' shares back. With `usage`, a fallback needs `targets`."""


class MinimumQuality(StoredDocument):
    """The minimum quality that a policy requires, as the ledger stores it."""

    metric: Metric = "lds"
    """Metric as `byline evaluate --metric` names it."""
    millionths: Annotated[int, Field(strict=True, ge=-1_000_000, le=1_000_000)]
    """Threshold in millionths."""
    by: Literal["low", "value"] = "low"
    """Figure that must reach the threshold: the lower end of the 95 % interval, or the value."""


class PolicyRevision(StoredDocument):
    """A revision of a policy, as the ledger stores it."""

    name: PolicyName
    """Name of the policy in URLs."""
    revision: Annotated[int, Field(strict=True, ge=1)]
    """Number of the revision, from 1."""
    currency: str
    """Currency code of ISO 4217."""
    pool: Amount
    """Pool of one period, or of one event of weight 1, in minor units."""
    spread: Literal["period", "event"] = "period"
    """`period` divides the pool over the events of a period by weight. `event` adds the pool times the weight for each
    event, up to the budget."""
    period: Calendar = "month"
    """Calendar of the runs, in UTC. Each run pays one finished period."""
    budget: Amount
    """Largest amount of one period, in minor units. With `spread: period` it is the pool."""
    largest_weight: Annotated[int, Field(strict=True, ge=1, le=10**9)] = 100
    """Largest weight of an event. A heavier event is not paid for."""
    group: PolicyName = "default"
    """Group of policies that pay for an event once together."""
    clipping: Literal["owner_sum"] = "owner_sum"
    """`owner_sum` counts a negative sum as zero: share = max(S_j, 0) / sum_l max(S_l, 0), over the owners' sums S."""
    confidence: Annotated[int, Field(strict=True, ge=500, le=999)] | None
    """Confidence in thousandths that an owner's share is at least the part that is paid at once, `share - z SE`. It
    determines z by Student's t and the event's units. The rest is held in escrow."""
    multiplier: Annotated[int, Field(strict=True, ge=0, le=10_000_000)] | None = None
    """Fixed z for every event in ten-thousandths, instead of a confidence."""
    floor: Amount = 0
    """Smallest payout. The service carries a smaller amount into the next run."""
    minimum_quality: MinimumQuality | None = None
    """Quality that the card of the index must show. Null requires no card."""
    allow_within_checkpoint: bool = False
    """Whether to accept standard errors over masks of one checkpoint. They miss the variance between models."""
    indexes: tuple[str, ...] = ()
    """Indexes whose events the policy pays for. An empty list selects all indexes."""
    asked: tuple[Asked, ...] = RAW_FORMS
    """Forms of questions that the policy pays for."""
    targets: tuple[str, ...] = ()
    """Targets that the policy pays for. An empty list selects all targets."""
    recipes: tuple[str, ...] = ()
    """Values of `recipe_fingerprint` that the policy pays for. An empty list selects all recipes."""
    unique_references: bool = True
    """Whether the policy pays for one event of each reference alone: the first that was booked."""
    basis: Basis = "usage"
    """`usage` divides the pool over events, `training` over the owners of an index."""
    fallback: Fallback = "refuse"
    """Payment of an event whose attribution is not reliable, and division of a training pool."""


class PolicyDocument(Document):
    """A revision of a policy with its digest."""

    policy: PolicyRevision
    """The stored revision, with thousandths, ten-thousandths and millionths instead of decimals."""
    minor_digits: int
    """Decimal digits of the currency's minor unit."""
    sha256: str
    """Digest of the revision."""
