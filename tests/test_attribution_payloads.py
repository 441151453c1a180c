"""Messages about payloads name places and reasons, and repeat nothing of what came."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from byline.attribution.payloads import validated
from byline.errors import InvalidQuery


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
        ({}, "text: Field required"),
        ({"text": "secret"}, "text: String should have at most 5 characters"),
        ({"text": "a", "secret": 1}, "*: Extra inputs are not permitted"),
        ({"text": "a", "scores": {"secret": "x"}}, "scores.*: Input should be a valid integer"),
        ({"text": "a", "pet": {"kind": "secret"}}, "pet: not a valid value"),
        ({"text": "a", "pet": {"kind": "cat", "lives": 90125}}, "lives: Input should be less than"),
        ({"text": "a", "even": 90125}, "even: not a valid value"),
        ({"text": "a", "odd": 2}, "odd: expected an odd number, got an even one"),
        ("secret", "Input should be an object"),
        ([], "Input should be an object"),
    ],
)
def test_messages(payload, message):
    with pytest.raises(InvalidQuery) as caught:
        validated(Payload, payload, "query")
    text = str(caught.value)
    assert text.startswith("expected a valid query: ")
    assert message in text
    assert "secret" not in text
    assert "90125" not in text


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


@pytest.mark.parametrize("value", [object(), "\ud800", {1j: 2}])
def test_other_values_than_json_are_refused(value):
    with pytest.raises(InvalidQuery):
        validated(Payload, {"text": value}, "query")
