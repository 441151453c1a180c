"""Policies: the division of a pool over events and owners, and the events that are not payable. A revision never changes."""

from collections.abc import Collection
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Self

from pydantic import model_validator

from byline.api.compensation import MinimumQuality, PolicyRevision, Reason
from byline.metrics.intervals import student_quantile
from byline_service.compensation.event import Event, Stored

TEN_THOUSAND = 10_000


class Policy(PolicyRevision, Stored):
    """A revision of a policy, with its rules."""

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.confidence is None) == (self.multiplier is None):
            raise ValueError("expected a confidence or a multiplier, got both or neither")
        return self

    @model_validator(mode="after")
    def _one_pool(self) -> Self:
        if self.spread == "period" and self.budget != self.pool:
            raise ValueError("expected the pool as the budget of a period, got another amount")
        return self

    def wanted(self, weight: int) -> int:
        """Return the amount that a period's events cost, before the budget limits it.

        Args:
            weight: Sum of the events' weights.
        """
        return self.pool if self.spread == "period" else self.pool * weight

    def z(self, event: Event) -> Fraction:
        """Return the multiplier of the standard error of an event's shares.

        Args:
            event: An event with a standard error.
        """
        if self.confidence is None:
            assert self.multiplier is not None
            return Fraction(self.multiplier, TEN_THOUSAND)
        return Fraction(student_multiplier(self.confidence, event.units), TEN_THOUSAND)

    def refusals(
        self, event: Event, quarantined: Collection[tuple[str, str]] = frozenset()
    ) -> tuple[Reason, ...]:
        """Return the reasons why an event is not payable. Empty if it is payable.

        Args:
            event: The event.
            quarantined: Quarantined versions as (index, version) pairs.
        """
        found = [*unpayable(event)]
        if event.error_scope == "within_checkpoint" and not self.allow_within_checkpoint:
            found.append(Reason.WITHIN_CHECKPOINT)
        if (wanted := self.minimum_quality) is not None:
            found += _quality_refusal(event, wanted)
        if event.weight > self.largest_weight:
            found.append(Reason.TOO_HEAVY)
        if (event.index, event.version) in quarantined:
            found.append(Reason.QUARANTINED)
        return tuple(found)


def unpayable(event: Event) -> tuple[Reason, ...]:
    """Return the reasons why no policy could pay for an event."""
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
    """Return z of a one-sided bound by Student's t, in ten-thousandths, rounded up: the same on every machine.

    Args:
        confidence: Confidence in thousandths.
        units: Number of independent units behind the standard error. The degrees of freedom are one less.
    """
    quantile = Fraction(student_quantile(Decimal(confidence) / 1000, units - 1))
    return ceil(quantile * TEN_THOUSAND)
