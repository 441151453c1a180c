"""Asking an index: one code path for the command line and the service.

What is imported here is loaded when it is first used: whoever only reads answers needs neither torch nor FAISS.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from byline.vocabulary import Direction

if TYPE_CHECKING:
    from byline.attribution.answer import (
        Answer,
        Attribution,
        Coverage,
        Optimism,
        OtherOwners,
        OwnerShare,
        Shares,
        SharesAnswer,
        StandsOut,
        Timings,
    )
    from byline.attribution.attributor import Attributor, shares_of
    from byline.attribution.questions import Question
    from byline.attribution.request import AttributionRequest

__all__ = [
    "Answer",
    "Attribution",
    "AttributionRequest",
    "Attributor",
    "Coverage",
    "Direction",
    "Optimism",
    "OtherOwners",
    "OwnerShare",
    "Question",
    "Shares",
    "SharesAnswer",
    "StandsOut",
    "Timings",
    "shares_of",
]
_ELSEWHERE = {
    "Attributor": "attributor",
    "AttributionRequest": "request",
    "Question": "questions",
    "shares_of": "attributor",
}
"""Names that are not in `answer`, and their modules."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'answer')}"), name)
