"""Definitions of the terms that pages explain where they stand."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Definition:
    """A term and its meaning in one or two sentences."""

    term: str
    """The term as a heading."""
    text: str
    """Its meaning."""


GLOSSARY: Mapping[str, Definition] = {
    "lds": Definition(
        "LDS",
        "Linear datamodeling score: the rank correlation between predicted and measured effects of retraining "
        "without parts of the training set. 1 is perfect, and 0 is chance.",
    ),
    "floor": Definition(
        "Floor",
        "The smallest amount that a policy pays out. A smaller amount is carried into the next run, and paid once the "
        "sum reaches the floor.",
    ),
    "escrow": Definition(
        "Escrow",
        "An owner\u2019s money that is held until the share is known more precisely: the part of the share above its "
        "lower bound. A run of kind release pays it out.",
    ),
    "lower-bound": Definition(
        "Lower bound",
        "The part of a share that is certain at the level of the policy. The policy pays it at once, and the rest goes to "
        "escrow.",
    ),
    "plus-minus": Definition(
        "Plus-minus",
        "The number behind \u00b1 is a standard error: the typical distance from the mean of many repetitions. The 95 % "
        "interval is about two of them to each side, and wider with few repetitions.",
    ),
    "interval": Definition(
        "95 % interval",
        "In 95 of 100 repetitions, an interval made this way holds the true value. The trust notes tell the "
        "variation that it covers.",
    ),
    "score": Definition(
        "Score",
        "The predicted effect of training on an example. A positive score raised the target, and a negative one "
        "lowered it. Scores of one answer compare, scores of two answers do not.",
    ),
    "share": Definition(
        "Share",
        "The positive part of an owner\u2019s sum of scores, divided by the positive sums of all owners.",
    ),
    "target": Definition(
        "Target",
        "The quantity that is attributed, such as the loss of the completion or the margin of a class.",
    ),
    "member": Definition(
        "Member",
        "One model of the ensemble, or one dropout mask or adapter of it. The score is the mean over all members.",
    ),
}
"""Definitions by key. `glossary.html` shows them."""
