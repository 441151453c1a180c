"""Why an attributed generation is not paid for: reasons that programs can read."""

from collections.abc import Sequence

from byline.api.compensation import Reason
from byline.errors import NotPayable

EXPLANATIONS = {
    Reason.INCOMPLETE_COVERAGE: "some training points have no owner: name every point's owner and rebuild",
    Reason.NO_INTERVAL: "the scores have no standard error: build the index with several checkpoints",
    Reason.WITHIN_CHECKPOINT: "the standard error misses the variance between models: build with several "
    "checkpoints, or set allow_within_checkpoint in the policy",
    Reason.NO_QUALITY: "nothing was measured about what was attributed: run byline evaluate for this version and target",
    Reason.LOW_QUALITY: "the quality card is below the policy's threshold",
    Reason.QUARANTINED: "the version is quarantined",
}
"""What each reason means, and what to do."""


def not_payable(reasons: Sequence[Reason], subject: str = "this answer") -> NotPayable:
    """Write the error of an answer, or of all events of a period, that cannot be paid for.

    Args:
        reasons: Every reason; repeated ones are named once.
        subject: The answer or the events, as the message names them.

    Returns:
        The error, to be raised.
    """
    unique = tuple(dict.fromkeys(reasons))
    details = "; ".join(f"{reason}: {EXPLANATIONS[reason]}" for reason in unique)
    return NotPayable(f"{subject} cannot be paid for ({details})", unique)
