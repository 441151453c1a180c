"""A policy: how a pool is divided over events and owners, and what is not paid for. A revision never changes."""

from collections.abc import Collection
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from byline.metrics.intervals import student_quantile
from byline_service.compensation.eligibility import Reason
from byline_service.compensation.event import Event, Stored
from byline_service.compensation.money import MOST

TEN_THOUSAND = 10_000
Amount = Annotated[int, Field(strict=True, ge=0, le=MOST)]
"""Minor units of the policy's currency."""


class MinimumQuality(Stored):
    """The least that must have been measured about a version before it is paid by."""

    metric: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = "lds"
    """As `byline evaluate --metric` names it."""
    millionths: Annotated[int, Field(strict=True, ge=-1_000_000, le=1_000_000)]
    """The threshold."""
    by: Literal["low", "value"] = "low"
    """Whether the lower end of the 95 % interval must reach it, or the value."""


class Policy(Stored):
    """One revision of a policy."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    """In the URLs."""
    revision: Annotated[int, Field(strict=True, ge=1)]
    """1 for the first; another revision is another document."""
    currency: str
    """A code of ISO 4217."""
    pool: Amount
    """Minor units: of one run, or of one event of weight 1."""
    spread: Literal["period", "event"] = "period"
    """`period`: the pool is divided over a run's events by their weights. `event`: each brings the pool, times its
    weight."""
    clipping: Literal["owner_sum"] = "owner_sum"
    """Negative sums count as zero, after the owner's works are summed: share = max(S_j, 0) / sum_l max(S_l, 0)."""
    confidence: Annotated[int, Field(strict=True, ge=500, le=999)] | None
    """Thousandths: how sure one wants to be that an owner's share is not below what is paid at once. It sets z of
    `share - z SE`, the part that is paid, by Student's t and the event's units; the rest is held in escrow."""
    multiplier: Annotated[int, Field(strict=True, ge=0, le=1_000 * TEN_THOUSAND)] | None = None
    """Ten-thousandths: a z for every event, in place of a confidence."""
    floor: Amount = 0
    """Smallest payout: what an owner has below it is carried into the next run."""
    minimum_quality: MinimumQuality | None = None
    """What the quality card must show; null asks for no card."""
    allow_within_checkpoint: bool = False
    """Whether standard errors over masks of one checkpoint will do; they miss the variance between models."""
    indexes: tuple[str, ...] = ()
    """Whose events are paid for; empty for all."""

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.confidence is None) == (self.multiplier is None):
            raise ValueError("expected a confidence or a multiplier, got both or neither")
        return self

    def z(self, event: Event) -> Fraction:
        """The multiplier of the standard error of an event's shares.

        Args:
            event: With a standard error.
        """
        if self.confidence is None:
            assert self.multiplier is not None
            return Fraction(self.multiplier, TEN_THOUSAND)
        return Fraction(student_multiplier(self.confidence, event.units), TEN_THOUSAND)

    def covers(self, event: Event) -> bool:
        """Whether an event is of one of the policy's indexes."""
        return not self.indexes or event.index in self.indexes

    def refusals(
        self, event: Event, quarantined: Collection[tuple[str, str]] = frozenset()
    ) -> tuple[Reason, ...]:
        """Why an event is not paid for; empty where it is.

        Args:
            event: The event.
            quarantined: (index, version) of versions that are quarantined now.
        """
        found = [*unpayable(event)]
        if event.error_scope == "within_checkpoint" and not self.allow_within_checkpoint:
            found.append(Reason.WITHIN_CHECKPOINT)
        if (wanted := self.minimum_quality) is not None:
            found += _quality_refusal(event, wanted)
        if (event.index, event.version) in quarantined:
            found.append(Reason.QUARANTINED)
        return tuple(found)


def unpayable(event: Event) -> tuple[Reason, ...]:
    """Why no policy at all could pay for an event."""
    found = [] if event.complete else [Reason.INCOMPLETE_COVERAGE]
    return (*found, *([] if event.error_scope and event.units > 1 else [Reason.NO_INTERVAL]))


def _quality_refusal(event: Event, wanted: MinimumQuality) -> list[Reason]:
    figure = event.quality
    if figure is None or figure.metric != wanted.metric:
        return [Reason.NO_QUALITY]
    reached = figure.value if wanted.by == "value" else figure.low
    if reached is None:
        return [Reason.NO_QUALITY]
    return [] if reached >= wanted.millionths else [Reason.LOW_QUALITY]


def student_multiplier(confidence: int, units: int) -> int:
    """The z of a one-sided bound by Student's t, in ten-thousandths, rounded up: the same on every machine.

    Args:
        confidence: Thousandths.
        units: Independent units behind the standard error; one less is the degrees of freedom.
    """
    quantile = Fraction(student_quantile(Decimal(confidence) / 1000, units - 1))
    return ceil(quantile * TEN_THOUSAND)
