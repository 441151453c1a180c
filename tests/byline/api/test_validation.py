"""pydantic's errors in plain words: messages name places and reasons, and repeat nothing of what came."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from byline.api.validation import describe_errors, described, printable, unknown_field, validated
from byline.errors import InvalidQuery


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


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(le=9)


class Dog(BaseModel):
    kind: Literal["dog"]


class Payload(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=5)
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    scores: dict[str, int] = {}
    even: int = 0
    odd: int = 1

    @field_validator("even")
    @classmethod
    def _even(cls, value):
        if value % 2:
            raise ValueError(f"{value} is the secret 90125")
        return value

    @field_validator("odd")
    @classmethod
    def _odd(cls, value):
        if value % 2 == 0:
            raise InvalidQuery("expected an odd number, got an even one")
        return value


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({}, "text: expected this field, got none"),
        ({"text": "secret"}, "text: expected text of at most 5 characters"),
        ({"text": "a", "txet": 1}, "txet: unknown field, did you mean 'text'?"),
        ({"text": "a", "scores": {"secret": "x"}}, "scores.*: expected an integer, got text"),
        ({"text": "a", "pet": {"kind": "secret"}}, "pet: expected 'kind' to be one of 'cat', 'dog'"),
        ({"text": "a", "pet": {"kind": "cat", "lives": 90125}}, "pet.lives: expected a number of at most 9"),
        ({"text": "a", "even": 90125}, "even: expected a valid value, got one that its own check refused"),
        ({"text": "a", "odd": 2}, "odd: expected an odd number, got an even one"),
        ("secret", "expected an object, got text"),
        ([], "expected an object, got a list"),
    ],
)
def test_messages_name_places_and_repeat_no_values(payload, message):
    with pytest.raises(InvalidQuery) as caught:
        validated(Payload, payload, "query")
    text = str(caught.value)
    assert text.startswith("expected a valid query: ")
    assert message in text
    assert "secret" not in text
    assert "90125" not in text


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"text": "a", "pet": {"kind": "cat", "lives": 1, "name": 1}}, None),
        ({"text": "a", "colour": 1}, "colour: unknown field, expected even, odd, pet, scores, text"),
        ({"text": "a", "a\n\x1b[31mb": 1}, "a??[31mb: unknown field"),
        ({"text": "a", "y" * 99: 1}, f"{'y' * 64}…: unknown field"),
        ({"text": "a", "\u202esdlot": 1}, "?sdlot: unknown field"),
    ],
)
def test_unknown_fields_are_named_in_one_printable_line(payload, message):
    if message is None:
        assert validated(Payload, payload, "query").pet == Cat(kind="cat", lives=1)
        return
    with pytest.raises(InvalidQuery) as caught:
        validated(Payload, payload, "query")
    assert message in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_many_errors_are_counted():
    payload = {"text": "a", "scores": {str(i): "x" for i in range(9)}}
    with pytest.raises(InvalidQuery, match="and 4 more"):
        validated(Payload, payload, "query")


def test_a_payload_nested_in_itself_is_refused():
    payload = {"text": "a"}
    payload["pet"] = payload
    with pytest.raises(InvalidQuery):
        validated(Payload, payload, "query")


class Colour(StrEnum):
    RED = "red"


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    pair: tuple[int, float]
    colour: Colour
    day: date


def test_a_strict_model_takes_the_json_form_of_its_types():
    payload = {"pair": [1, 2.5], "colour": "red", "day": "2024-02-29"}
    assert validated(Strict, payload, "query") == Strict(
        pair=(1, 2.5), colour=Colour.RED, day=date(2024, 2, 29)
    )
    for wrong in ({"pair": ["1", 2.5]}, {"pair": [1, 2, 3]}, {"colour": "blue"}, {"day": "tomorrow"}):
        with pytest.raises(InvalidQuery):
            validated(Strict, payload | wrong, "query")


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"text": torch.ones(2)}, "text: expected JSON values, got a torch.Tensor: pass its .tolist()"),
        ({"text": np.ones(2)}, "text: expected JSON values, got a numpy.ndarray: pass its .tolist()"),
        (
            {"text": "a", "scores": {"secret": [1, np.float32(2)]}},
            "scores.*.1: expected JSON values, got a numpy.float32: pass its .tolist()",
        ),
        ({"text": "a", "image": np.ones(2)}, "image: expected JSON values, got a numpy.ndarray"),
        ({"text": object()}, "text: expected JSON values, got a object"),
        ({"text": "\ud800"}, "text: expected text that is valid Unicode, got a lone surrogate"),
        (torch.ones(2), "expected JSON values, got a torch.Tensor: pass its .tolist()"),
    ],
)
def test_a_tensor_is_refused_with_its_field_its_type_and_the_way_out(payload, message):
    with pytest.raises(InvalidQuery) as caught:
        validated(Payload, payload, "query")
    assert str(caught.value).startswith(f"expected a valid query: {message}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", [object(), "\ud800", {1j: 2}])
def test_other_values_than_json_are_refused(value):
    with pytest.raises(InvalidQuery):
        validated(Payload, {"text": value}, "query")
