"""pydantic's errors in plain words."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from byline.api.validation import describe_errors, described, printable, unknown_field


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["inner"] = "inner"
    size: int = Field(default=1, ge=1, lt=9)
    rate: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Other(BaseModel):
    kind: Literal["other"] = "other"


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="a", min_length=1, max_length=3, pattern="^a")
    flag: bool = Field(default=True, strict=True)
    parts: list[Inner] = Field(default=[], max_length=2)
    part: Annotated[Inner | Other, Field(discriminator="kind")] = Inner()
    either: Literal["x", "y"] = "x"
    by_name: dict[str, Inner] = {}


def said(value: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(value)
    return describe_errors(caught.value, Outer)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ({"name": 3}, "name: expected text, got a number"),
        ({"name": ""}, "name: expected text of at least 1 character"),
        ({"name": "abcd"}, "name: expected text of at most 3 characters"),
        ({"name": "b"}, "name: expected text that matches ^a"),
        ({"flag": "yes"}, "flag: expected true or false, got text"),
        ({"parts": {}}, "parts: expected a list, got an object"),
        ({"parts": [{}] * 3}, "parts: expected at most 2 items, got 3"),
        ({"parts": [{}, {"size": 0}]}, "parts.1.size: expected a number of at least 1"),
        ({"parts": [{"sise": 1}]}, "parts.0.sise: unknown field, did you mean 'size'?"),
        ({"parts": [None]}, "parts.0: expected an object, got nothing"),
        ({"part": {"kind": "inner", "size": 9}}, "part.size: expected a number below 9"),
        (
            {"part": {"kind": "inner", "rate": float("nan")}},
            "part.rate: expected a finite number, got NaN or infinity",
        ),
        (
            {"part": {"kind": "inner", "size": 1.5}},
            "part.size: expected an integer, got a number with a fraction",
        ),
        ({"part": {"kind": "secret"}}, "part: expected 'kind' to be one of 'inner', 'other'"),
        ({"part": {}}, "part: expected the field 'kind', got none"),
        ({"either": "secret"}, "either: expected 'x' or 'y'"),
        ({"by_name": {"secret": {"size": "x"}}}, "by_name.*.size: expected an integer, got text"),
        ({"nmae": 1}, "nmae: unknown field, did you mean 'name'?"),
        ({"zzz": 1}, "zzz: unknown field, expected by_name, either, flag, name, part, parts"),
    ],
)
def test_every_kind_in_plain_words(value: dict[str, Any], line: str) -> None:
    assert said(value) == line


def test_names_from_outside_fit_a_line() -> None:
    assert printable("a\nb\u202e\ud800") == "a?b??"
    assert printable("x" * 65) == "x" * 64 + "…"
    assert unknown_field(["recipe", "x\n"], frozenset()) == "recipe.x?: unknown field"
    assert len(unknown_field(["q"], frozenset(f"field{n}" for n in range(99)))) < 150


def test_a_model_that_is_not_at_hand() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"name": 3, "secret": 1})
    assert described(caught.value) == "Outer.name: expected text, got a number; Outer.secret: unknown field"
