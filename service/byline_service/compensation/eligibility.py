"""Reasons why an attributed generation is not paid for, as codes and in words."""

from collections.abc import Sequence

from byline.api.compensation import Reason
from byline.errors import NotPayable

EXPLANATIONS = {
    Reason.INCOMPLETE_COVERAGE: "some training points have no owner: name every point's owner and rebuild",
    Reason.NO_INTERVAL: "the scores have no standard error: build the index with several checkpoints",
    Reason.WITHIN_CHECKPOINT: "the standard error misses the variance between models: build with several "
    "checkpoints, or set allow_within_checkpoint in the policy",
    Reason.NO_QUALITY: "this target was not measured: run byline evaluate for this version and target",
    Reason.LOW_QUALITY: "the quality card is below the policy's threshold",
    Reason.NOT_ADMITTED: "no current policy of this index admits this form of question: send a query, or name the form "
    "in the policy's asked",
    Reason.OTHER_TARGET: "the policy pays for other targets",
    Reason.OTHER_RECIPE: "the policy pays for other recipes",
    Reason.REPEATED_REFERENCE: "an earlier event has the same reference: give each generation its own, or set "
    "unique_references to false in the policy",
    Reason.TOO_HEAVY: "the event weighs more than the policy's largest_weight",
    Reason.NO_ROSTER: "the owners of the event's version are not recorded: send POST /v1/indexes/{name}/rosters",
    Reason.DAMAGED: "the version's files are damaged: restore and verify them",
}
"""Meaning of each reason, and the remedy."""
UNRELIABLE = frozenset({Reason.NO_INTERVAL, Reason.WITHIN_CHECKPOINT, Reason.NO_QUALITY, Reason.LOW_QUALITY})
"""Reasons that a policy's fallback answers: the attribution is not reliable."""


def not_payable(reasons: Sequence[Reason], subject: str = "this answer") -> NotPayable:
    """Write the error of an answer, or of all events of a period, that cannot be paid for.

    Args:
        reasons: All reasons. Repeated ones are named once.
        subject: The answer or the events, for the message.

    Returns:
        The error to raise.
    """
    unique = tuple(dict.fromkeys(reasons))
    details = "; ".join(f"{reason}: {EXPLANATIONS[reason]}" for reason in unique)
    return NotPayable(f"{subject} cannot be paid for ({details})", unique)
