"""Policies in plain sentences, and the body that another revision starts from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from byline.api.compensation import PolicyRevision
from byline_service.pages.formats import plain_amount

FALLBACKS = {
    "refuse": "Events without a reliable attribution are not paid for.",
    "equal": "Events without a reliable attribution are divided equally over the owners.",
    "by_size": "Events without a reliable attribution are divided by number of works.",
    "hold": "Events without a reliable attribution are divided by their shares, and the amounts are held.",
}
TRAINING = {
    "refuse": "No index is paid for without a reliable attribution.",
    "equal": "Its owners share equally.",
    "by_size": "Its owners share by number of works.",
    "hold": "The amounts are held.",
}


@dataclass(frozen=True)
class Change:
    """A term of a policy that a revision changed."""

    before: str
    """Sentence of the revision before."""
    after: str
    """Sentence of the revision."""


def sentences(policy: PolicyRevision) -> dict[str, str]:
    """Write the terms of a policy, one sentence for each.

    Args:
        policy: A revision of the policy.

    Returns:
        Sentences by term.
    """

    def amount(minor: int) -> str:
        return f"{plain_amount(minor, policy.currency)} {policy.currency}"

    certain = (
        f"An owner gets at once what is certain at {policy.confidence / 10:g} %. The rest waits in escrow."
        if policy.confidence is not None
        else f"An owner gets at once the share less {(policy.multiplier or 0) / 10_000:g} standard errors. "
        "The rest waits in escrow."
    )
    divided = (
        f"Each {policy.period}, {amount(policy.pool)} are divided over its events by weight."
        if policy.spread == "period"
        else f"Each event adds {amount(policy.pool)} for each unit of its weight."
    )
    if policy.basis == "training":
        divided = f"Each {policy.period}, {amount(policy.pool)} are divided over the owners of the index, for the training."
    fallbacks = TRAINING if policy.basis == "training" else FALLBACKS
    return {
        "pool": divided,
        "budget": f"A {policy.period} costs {amount(policy.budget)} at most. Periods are in UTC.",
        "bound": certain,
        "floor": f"Amounts below {amount(policy.floor)} are carried into the next run."
        if policy.floor
        else "Every amount is paid, however small.",
        "quality": _quality(policy),
        "fallback": fallbacks[policy.fallback],
        "checkpoints": "Standard errors over the masks of one checkpoint are accepted."
        if policy.allow_within_checkpoint
        else "Standard errors must cover the variance between checkpoints.",
        "indexes": f"It pays for the indexes {_listed(policy.indexes)}."
        if policy.indexes
        else "It pays for all indexes.",
        "targets": f"It pays for the targets {_listed(policy.targets)}."
        if policy.targets
        else "It pays for all targets.",
        "recipes": f"It pays for the recipes {_listed([each[:12] for each in policy.recipes])}."
        if policy.recipes
        else "It pays for all recipes.",
        "asked": f"It pays for questions in the form {_listed([each.replace('_', ' ') for each in policy.asked])}.",
        "references": "It pays once for each reference."
        if policy.unique_references
        else "It pays for every event, also if several have one reference.",
        "weight": f"An event heavier than {policy.largest_weight:,} is not paid for.",
        "group": f"The policies of the group {policy.group} pay for an event once together.",
    }


def changes(before: PolicyRevision, after: PolicyRevision) -> list[Change]:
    """Return what a revision changed, in sentences.

    Args:
        before: The revision before.
        after: The revision.
    """
    old, new = sentences(before), sentences(after)
    return [Change(old[term], new[term]) for term in new if old[term] != new[term]]


def body_of(policy: PolicyRevision) -> dict[str, Any]:
    """Return the request body that makes an equal revision.

    Args:
        policy: A revision.
    """
    left_out = {"revision", "confidence", "multiplier", "minimum_quality", "budget"}
    body = policy.model_dump(mode="json", exclude=left_out)
    if policy.confidence is not None:
        body["confidence"] = policy.confidence / 1000
    if policy.multiplier is not None:
        body["multiplier"] = policy.multiplier / 10_000
    if policy.spread == "event":
        body["budget"] = policy.budget
    if policy.minimum_quality is not None:
        quality = policy.minimum_quality
        body["minimum_quality"] = {
            "metric": quality.metric,
            "least": quality.millionths / 1_000_000,
            "by": quality.by,
        }
    return body


def _quality(policy: PolicyRevision) -> str:
    if policy.minimum_quality is None:
        return "No measured quality is required."
    least = f"{policy.minimum_quality.millionths / 1_000_000:g}"
    lower = ", at the lower end of its interval" if policy.minimum_quality.by == "low" else ""
    return f"The index must have a measured {policy.minimum_quality.metric.upper()} of {least}{lower}."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
