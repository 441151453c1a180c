"""Asking an index: one code path for the command line and the service."""

from byline.attribution.answer import (
    Answer,
    Attribution,
    Coverage,
    OtherOwners,
    OwnerShare,
    Shares,
    SharesAnswer,
    StandsOut,
    Timings,
)
from byline.attribution.attributor import Attributor, shares_of
from byline.attribution.questions import Question
from byline.attribution.request import AttributionRequest, Direction

__all__ = [
    "Answer",
    "Attribution",
    "AttributionRequest",
    "Attributor",
    "Coverage",
    "Direction",
    "OtherOwners",
    "OwnerShare",
    "Question",
    "Shares",
    "SharesAnswer",
    "StandsOut",
    "Timings",
    "shares_of",
]
