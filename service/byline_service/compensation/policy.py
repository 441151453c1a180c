"""Policies: the division of a pool over events and owners, and the events that are not payable. A revision never changes."""

from collections.abc import Collection, Iterable
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Self

from pydantic import model_validator

from byline.api.compensation import MinimumQuality, PolicyRevision, Reason
from byline.api.terms import RAW_FORMS, Asked
from byline.metrics.intervals import student_quantile
from byline_service.compensation.eligibility import UNRELIABLE, not_payable
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

    @model_validator(mode="after")
    def _one_fallback(self) -> Self:
        if self.basis == "training" and (
            self.fallback not in ("equal", "by_size") or self.spread != "period" or len(self.indexes) != 1
        ):
            raise ValueError(
                "expected a training pool with fallback `equal` or `by_size`, spread `period` and one index"
            )
        if self.basis == "usage" and self.fallback != "refuse" and not self.targets:
            raise ValueError(
                "expected targets beside a fallback, got none: a caller could choose a target without a measurement"
            )
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

    def refusals(self, event: Event, repeated: Collection[str] = frozenset()) -> tuple[Reason, ...]:
        """Return the reasons why an event is not payable. Empty if it is payable, be it by the fallback.

        Args:
            event: The event.
            repeated: Ids of events whose reference an earlier event has.
        """
        answered = self.doubts(event)
        return tuple(reason for reason in self._reasons(event, repeated) if reason not in answered)

    def doubts(self, event: Event) -> tuple[Reason, ...]:
        """Return the reasons why the fallback divides an event. Empty if its attribution is reliable, or none does."""
        if self.fallback == "refuse":
            return ()
        return tuple(reason for reason in self._reasons(event) if reason in UNRELIABLE)

    def _reasons(self, event: Event, repeated: Collection[str] = frozenset()) -> tuple[Reason, ...]:
        found = [*unpayable(event), *self._unpinned(event)]
        if event.error_scope == "within_checkpoint" and not self.allow_within_checkpoint:
            found.append(Reason.WITHIN_CHECKPOINT)
        if (wanted := self.minimum_quality) is not None:
            found += _quality_refusal(event, wanted)
        if event.weight > self.largest_weight:
            found.append(Reason.TOO_HEAVY)
        if self.unique_references and event.id in repeated:
            found.append(Reason.REPEATED_REFERENCE)
        return tuple(found)

    def admits(self, index: str, asked: Asked) -> bool:
        """Return whether the policy covers an index and pays for a form of question.

        Args:
            index: Name of the index.
            asked: Form of the question.
        """
        return self.basis == "usage" and self.covers(index) and asked in self.asked

    def covers(self, index: str) -> bool:
        """Return whether the policy pays for events of an index."""
        return not self.indexes or index in self.indexes

    def _unpinned(self, event: Event) -> list[Reason]:
        """Return the reasons that the policy's pins give: form of the question, target and recipe."""
        pins = {
            Reason.NOT_ADMITTED: event.asked in self.asked,
            Reason.OTHER_TARGET: not self.targets or event.target in self.targets,
            Reason.OTHER_RECIPE: not self.recipes or event.recipe_fingerprint in self.recipes,
        }
        return [reason for reason, kept in pins.items() if not kept]


def require_admitted(policies: Iterable[Policy], index: str, asked: Asked) -> None:
    """Refuse a gradient or a feature that no current policy of the index admits.

    Args:
        policies: Newest revisions of all policies.
        index: Name of the index.
        asked: Form of the question.

    Raises:
        NotPayable: No policy admits the form.
    """
    if asked not in RAW_FORMS and not any(policy.admits(index, asked) for policy in policies):
        raise not_payable([Reason.NOT_ADMITTED])


def require_bookable(policies: Iterable[Policy], event: Event) -> None:
    """Refuse an event without a standard error that the fallback of no current policy of its index divides.

    Args:
        policies: Newest revisions of all policies.
        event: The event.

    Raises:
        NotPayable: No policy could pay for it.
    """
    reasons = unpayable(event)
    if Reason.NO_INTERVAL in reasons and any(
        policy.admits(event.index, event.asked) and policy.fallback != "refuse" for policy in policies
    ):
        reasons = tuple(reason for reason in reasons if reason != Reason.NO_INTERVAL)
    if reasons:
        raise not_payable(reasons)


def unpayable(event: Event) -> tuple[Reason, ...]:
    """Return the reasons why no policy without a fallback could pay for an event."""
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
