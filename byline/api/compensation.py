"""What clients send and get about events and policies. Amounts are integers in minor units of the currency."""

from typing import Annotated, Literal

from pydantic import Field

from byline.api.attributions import Body, Document, QueryBody
from byline.api.terms import ErrorScope
from byline.errors import InvalidInput
from byline_service.compensation.event import Event, EventMember
from byline_service.compensation.integer_shares import exact_shares
from byline_service.compensation.money import MINOR_DIGITS, minor_digits
from byline_service.compensation.policy import Amount, MinimumQuality, Policy

MILLION = 1_000_000
Weight = Annotated[int, Field(ge=1, le=10**9)]
Reference = Annotated[str, Field(min_length=1, max_length=200)]
PolicyName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class EventBody(QueryBody):
    """One attributed generation that is to be paid for."""

    weight: Weight = 1
    """How much of the pool it draws, relative to other events."""
    reference: Reference | None = None
    """Your own name for the generation."""


class EventDocument(Document):
    """A booked event."""

    id: str
    """Names it."""
    booked_at: str
    """UTC; periods go by it."""
    reference: str | None
    """The client's own name for the generation."""
    weight: int
    """How much of the pool it draws, relative to other events."""
    index: str
    """Name of the index."""
    version: str
    """Version that answered."""
    manifest: str
    """Digest of its manifest."""
    recipe_fingerprint: str
    """Everything that determines a stored vector."""
    target: str | None
    """What was attributed; null for a gradient or a feature."""
    standard_error_scope: ErrorScope | None
    """What the spread between members covers."""
    standard_error_units: int
    """Independent units that the standard errors come from; a bound takes Student's t with one degree of freedom less."""
    owners: int
    """Owners with scores."""
    sha256: str
    """Digest of all that is stored of it."""

    @classmethod
    def of(cls, event: Event) -> "EventDocument":
        """Describe an event."""
        return cls(
            standard_error_scope=event.error_scope,
            standard_error_units=event.units,
            owners=len(event.scores),
            sha256=event.sha256,
            **event.model_dump(include=set(cls.model_fields) & set(Event.model_fields)),
        )


class EventPage(Document):
    """Some events, the newest first."""

    events: list[EventDocument]
    """At most `limit`."""
    next: int | None
    """Pass it as `before` for the page that follows; null on the last one."""


class EventShare(Document):
    """One owner's part of an event."""

    owner: str
    """Who is credited."""
    scores: list[int]
    """By member: a score is its integer times 2^-scale."""
    share: float
    """Part of one."""
    standard_error: float
    """Of the share, rounded up."""


class EventDetails(EventDocument):
    """An event with its scores."""

    members: list[EventMember]
    """The ensemble, in the order of the scores."""
    scale: int
    """A score is its integer times 2^-scale."""
    shares: list[EventShare]
    """Every owner, by name."""

    @classmethod
    def of(cls, event: Event) -> "EventDetails":
        """Describe an event with its scores."""
        exact = exact_shares(event)
        shares = [
            EventShare(
                owner=owner,
                scores=list(scores),
                share=float(exact[owner].share) if owner in exact else 0.0,
                standard_error=float(exact[owner].standard_error) if owner in exact else 0.0,
            )
            for owner, scores in sorted(event.scores.items())
        ]
        head = EventDocument.of(event).model_dump()
        return cls(**head, members=list(event.members), scale=event.scale, shares=shares)


class Quality(Body):
    """The least that the quality card must show."""

    metric: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = "lds"
    """As `byline evaluate --metric` names it."""
    least: Annotated[float, Field(ge=-1, le=1)]
    """The threshold."""
    by: Literal["low", "value"] = "low"
    """Whether the lower end of the 95 % interval must reach it, or the value."""


CONFIDENCE = 0.95
"""Of a policy that names none."""


class PolicyBody(Body):
    """A policy, or another revision of it."""

    name: PolicyName
    """A new name makes a policy; a known one adds a revision."""
    currency: Annotated[str, Field(json_schema_extra={"enum": sorted(MINOR_DIGITS)})]
    """A code of ISO 4217."""
    pool: Amount
    """Minor units: of one run, or of one event of weight 1."""
    spread: Literal["period", "event"] = "period"
    """`period`: the pool is divided over a run's events by their weights. `event`: each brings the pool, times its
    weight."""
    clipping: Literal["owner_sum"] = "owner_sum"
    """Negative sums count as zero, after the owner's works are summed."""
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] | None = None
    """How sure one wants to be that an owner's share is not below what is paid at once, `share - z SE`; taken to three
    decimals. z is Student's t for each event's independent units: 2.92 for three checkpoints, at .95. Null takes .95,
    or the multiplier where one is given."""
    multiplier: Annotated[float, Field(ge=0, le=1000)] | None = None
    """z itself, taken to four decimals, for every event however many units it has: in place of a confidence."""
    floor: Amount = 0
    """Smallest payout: what an owner has below it is carried into the next run."""
    minimum_quality: Quality | None = None
    """What the quality card must show; null asks for no card."""
    allow_within_checkpoint: bool = False
    """Whether standard errors over masks of one checkpoint will do; they miss the variance between models."""
    indexes: Annotated[list[PolicyName], Field(max_length=100, default_factory=list)]
    """Whose events are paid for; empty for all."""

    def policy(self) -> Policy:
        """The policy, before it has a revision.

        Raises:
            InvalidInput: There is no such currency, or both a confidence and a multiplier.
        """
        minor_digits(self.currency)
        if self.confidence is not None and self.multiplier is not None:
            raise InvalidInput("expected a confidence or a multiplier, got both: leave one of them out")
        quality = self.minimum_quality
        return Policy(
            revision=1,
            confidence=round((self.confidence or CONFIDENCE) * 1000) if self.multiplier is None else None,
            multiplier=None if self.multiplier is None else round(self.multiplier * 10_000),
            minimum_quality=None
            if quality is None
            else MinimumQuality(
                metric=quality.metric, millionths=round(quality.least * MILLION), by=quality.by
            ),
            indexes=tuple(sorted(set(self.indexes))),
            **self.model_dump(exclude={"confidence", "multiplier", "minimum_quality", "indexes"}),
        )


class PolicyDocument(Document):
    """One revision of a policy."""

    policy: Policy
    """As it is stored: thousandths, ten-thousandths and millionths in place of decimals."""
    minor_digits: int
    """Decimal digits of the currency's minor unit."""
    sha256: str
    """Digest of the revision."""

    @classmethod
    def of(cls, policy: Policy) -> "PolicyDocument":
        """Describe a policy."""
        return cls(policy=policy, minor_digits=minor_digits(policy.currency), sha256=policy.sha256)


class PolicyPage(Document):
    """Some policies."""

    policies: list[PolicyDocument]
    """At most `limit`."""
    next: str | None
    """Pass it as `after` for the page that follows; null on the last one."""
