"""Events from answers: the part of an answer that is kept permanently."""

from collections.abc import Sequence
from dataclasses import dataclass

from byline.api.answer import Answer
from byline.api.compensation import EventMember, Reason
from byline.api.quality_card import QualityCard
from byline.api.terms import Asked
from byline.attribution.uncertainty import member_units
from byline.members import Member
from byline_service.compensation.eligibility import not_payable
from byline_service.compensation.event import Event, QualityFigure
from byline_service.compensation.fixed_point import fixed_point
from byline_service.compensation.policy import unpayable

LDS = "lds"


@dataclass(frozen=True, kw_only=True)
class Booking:
    """Properties of an event that its answer does not have."""

    id: str
    """Id from the service."""
    at: str
    """Current time in UTC. It is set again at the write, so that the times of records ascend."""
    asked: Asked
    """Form of the question."""
    weight: int = 1
    """Part of the pool, relative to other events."""
    reference: str | None = None
    """Client's own name for the generation."""


@dataclass(frozen=True, kw_only=True)
class Answerer:
    """The version of the index that answered."""

    members: Sequence[Member]
    """Members of the ensemble."""
    manifest: str
    """Digest of the manifest."""
    card: QualityCard | None
    """Quality card of the version."""


def event_of(booking: Booking, answerer: Answerer, answer: Answer) -> Event:
    """Make an event from an answer.

    Args:
        booking: Identity, time and weight.
        answerer: The version of the index that answered.
        answer: An answer with the shares of all owners, by member.

    Returns:
        The event.

    Raises:
        NotPayable: No policy could pay for it: coverage is incomplete, or the scores have no standard error.
    """
    shares = answer.shares
    assert shares is not None, "an event is asked with shares"
    by_owner = {each.owner: each.members for each in shares.owners}
    if answer.standard_error_scope is None or any(members is None for members in by_owner.values()):
        raise not_payable([Reason.NO_INTERVAL])
    if not shares.coverage.complete:
        raise not_payable([Reason.INCOMPLETE_COVERAGE])
    names = [member.name for member in answerer.members]
    scale, scores = fixed_point(
        {
            owner: [members[name] for name in names]
            for owner, members in sorted(by_owner.items())
            if members is not None
        }
    )
    event = Event(
        id=booking.id,
        booked_at=booking.at,
        reference=booking.reference,
        weight=booking.weight,
        index=answer.index,
        version=answer.version,
        manifest=answerer.manifest,
        recipe_fingerprint=answer.recipe_fingerprint or "",
        target=answer.target,
        asked=booking.asked,
        error_scope=answer.standard_error_scope,
        searched=shares.coverage.searched,
        total=shares.coverage.total,
        quality=quality_of(answerer.card, answer.target),
        members=_members(answerer.members),
        scale=scale,
        scores=scores,
    )
    assert not unpayable(event)
    return event


def quality_of(card: QualityCard | None, target: str | None) -> QualityFigure | None:
    """Return the LDS of a target. None if it was not measured.

    A gradient or a feature has a target of its own, which was not measured.

    Args:
        card: The quality card of the version.
        target: The attributed target.
    """
    for each in card.measurements if card is not None and target is not None else ():
        if each.metric == LDS and each.protocol.target == target:
            low = None if each.interval is None else each.interval[0]
            return QualityFigure.of(each.metric, target, each.value, low)
    return None


def _members(members: Sequence[Member]) -> tuple[EventMember, ...]:
    return tuple(
        EventMember(name=member.name, unit=unit)
        for member, unit in zip(members, member_units(members), strict=True)
    )
