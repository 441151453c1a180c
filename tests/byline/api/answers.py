"""Answers to draw, with text that is not HTML."""

from byline.api.answer import Answer, Shares
from byline.api.answer_parts import Attribution, Coverage, Optimism, OwnerShare, StandsOut, Timings
from byline.api.example import Example

SPITEFUL = '<script>alert("no")</script>'


def point(rank: int, score: float, **example: object) -> Attribution:
    fields = {"id": f"point-{rank}", "owner": "Ada", "license": "MIT", "preview": SPITEFUL} | example
    return Attribution(
        rank=rank,
        row=10 + rank,
        example=Example.model_validate(fields),
        score=score,
        standard_error=0.5,
        interval=(score - 1, score + 1),
        members={"c0": score, "c1": score},
    )


def answer(**changes: object) -> Answer:
    coverage = Coverage(searched=20, total=20, complete=True)
    owner = OwnerShare(
        owner="Ada & Co",
        licenses=("MIT",),
        examples=3,
        score=6.0,
        standard_error=1.0,
        interval=(4.0, 8.0),
        share=0.75,
        share_standard_error=0.1,
        share_interval=(0.5, 1.0),
    )
    fields: dict[str, object] = {
        "index": "digits",
        "version": "abc",
        "recipe": "ekfac",
        "recipe_fingerprint": "f" * 64,
        "exact": True,
        "target": "loss",
        "prediction": {"label": "7", "probability": 0.987654},
        "standard_error_scope": None,
        "standard_error_units": 2,
        "timings": Timings(),
        "proponents": (point(1, 4.0, attributes={"year": 1843}), point(2, 2.0)),
        "opponents": (point(1, -8.0, owner=None, license=None),),
        "coverage": coverage,
        "stands_out": StandsOut(proponents=True, opponents=True),
        "optimism": Optimism(),
        "shares": Shares(owners=(owner,), positive=8.0, clipped=1.0, coverage=coverage),
    }
    return Answer.model_validate(fields | changes)
