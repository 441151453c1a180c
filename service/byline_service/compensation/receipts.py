"""Receipts of answers, and the events that are booked from them."""

from collections.abc import Sequence
from dataclasses import dataclass

from byline.api.answer import Answer
from byline.api.compensation import Reason
from byline.api.quality_card import QualityCard
from byline.api.receipts import EventMember, QualityFigure, Receipt, ReceiptContent
from byline.api.terms import Asked
from byline.attribution.uncertainty import member_units
from byline.members import Member
from byline_service.compensation.eligibility import not_payable
from byline_service.compensation.event import Event, signed_bytes
from byline_service.compensation.fixed_point import fixed_point
from byline_service.compensation.works import whole_works
from byline_service.signing.keys import SigningKey

LDS = "lds"


@dataclass(frozen=True, kw_only=True)
class Answered:
    """Properties of a receipt that its answer does not have."""

    id: str
    """Id from the service."""
    at: str
    """Time of the answer in UTC."""
    asked: Asked
    """Form of the question."""
    question: str
    """SHA-256 of the question."""
    refine: int = 0
    """Steps of `refine` that the question asked for."""


@dataclass(frozen=True, kw_only=True)
class Answerer:
    """The version of the index that answered."""

    members: Sequence[Member]
    """Members of the ensemble."""
    manifest: str
    """Digest of the manifest."""
    card: QualityCard | None
    """Quality card of the version."""


def receipt_of(answered: Answered, answerer: Answerer, answer: Answer, key: SigningKey) -> Receipt:
    """Make the signed receipt of an answer.

    Args:
        answered: Identity, time and question.
        answerer: The version of the index that answered.
        answer: An answer with the shares of all owners, by member.
        key: The key that signs.

    Returns:
        The receipt.

    Raises:
        NotPayable: No policy could pay for it: coverage is incomplete, or the members' scores are not known.
    """
    shares = answer.shares
    assert shares is not None, "a receipt is of shares"
    assert shares.others is None, "a receipt is of all owners"
    by_owner = {each.owner: each.members for each in shares.owners}
    if any(members is None for members in by_owner.values()):
        raise not_payable([Reason.NO_INTERVAL])
    if not shares.coverage.complete:
        raise not_payable([Reason.INCOMPLETE_COVERAGE])
    names = [member.name for member in answerer.members]
    works = {each.owner: [(work, score * len(names)) for work, score in each.works] for each in shares.owners}
    scale, scores = fixed_point(
        {
            owner: [members[name] for name in names]
            for owner, members in sorted(by_owner.items())
            if members is not None
        },
        (score for each in works.values() for _, score in each),
    )
    content = ReceiptContent(
        id=answered.id,
        answered_at=answered.at,
        index=answer.index,
        version=answer.version,
        manifest=answerer.manifest,
        recipe_fingerprint=answer.recipe_fingerprint or "",
        target=answer.target,
        asked=answered.asked,
        question=answered.question,
        refine=answered.refine,
        error_scope=answer.standard_error_scope,
        searched=shares.coverage.searched,
        total=shares.coverage.total,
        quality=quality_of(answerer.card, answer.target),
        members=_members(answerer.members),
        scale=scale,
        scores=scores,
        works=whole_works(works, scale),
    )
    return Receipt(content=content, signature=key.sign(signed_bytes(content)))


def event_of(receipt: Receipt, at: str, *, weight: int = 1, reference: str | None = None) -> Event:
    """Make the event of a receipt.

    Args:
        receipt: A receipt whose signature is right.
        at: Current time in UTC. It is set again at the write, so that the times of records ascend.
        weight: Part of the pool, relative to other events.
        reference: Client's own name for the generation.

    Returns:
        The event.
    """
    return Event(
        **dict(receipt.content),
        booked_at=at,
        weight=weight,
        reference=reference,
        signature=receipt.signature,
    )


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
