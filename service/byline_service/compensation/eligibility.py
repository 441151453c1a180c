"""Why an attributed generation is not paid for: reasons that programs can read."""

from collections.abc import Sequence
from enum import StrEnum

from byline.errors import InvalidInput


class Reason(StrEnum):
    """One reason not to pay."""

    INCOMPLETE_COVERAGE = "incomplete_coverage"
    NO_INTERVAL = "no_interval"
    WITHIN_CHECKPOINT = "within_checkpoint"
    NO_QUALITY = "no_quality"
    LOW_QUALITY = "low_quality"
    QUARANTINED = "quarantined"


WORDS = {
    Reason.INCOMPLETE_COVERAGE: "some training points have no owner: name every point's owner and rebuild",
    Reason.NO_INTERVAL: "the scores have no standard error: build the index with several checkpoints",
    Reason.WITHIN_CHECKPOINT: "the standard error misses the variance between models: build with several "
    "checkpoints, or set allow_within_checkpoint in the policy",
    Reason.NO_QUALITY: "nothing was measured about what was attributed: run byline evaluate for this version and target",
    Reason.LOW_QUALITY: "the quality card is below the policy's threshold",
    Reason.QUARANTINED: "the version is quarantined",
}
"""What each reason means, and what to do."""


class NotPayable(InvalidInput):
    """No policy could pay for this, or none of the events; `reasons` says why."""

    def __init__(self, reasons: Sequence[Reason], what: str = "this answer") -> None:
        self.reasons = tuple(dict.fromkeys(reasons))
        details = "; ".join(f"{reason}: {WORDS[reason]}" for reason in self.reasons)
        super().__init__(f"{what} cannot be paid for ({details})")
