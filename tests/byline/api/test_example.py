"""Content has one digest everywhere; metadata is bounded and finite."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from byline.api.example import MAX_PREVIEW, Example
from byline.errors import InvalidTask


def test_long_previews_are_cut() -> None:
    whole = "ä" * MAX_PREVIEW
    assert Example(id="a", preview=whole).preview == whole
    assert Example(id="a", preview=whole + "b").preview == "ä" * (MAX_PREVIEW - 1) + "…"


def test_lone_surrogates_are_replaced_in_previews_and_refused_elsewhere() -> None:
    lone = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert Example(id="a", preview=lone).preview == "caf\ufffd"
    for field in ("id", "owner", "license", "uri", "label"):
        with pytest.raises(InvalidTask, match=rf"Example.{field}: .*lone surrogate"):
            Example(**({"id": "a"} | {field: lone}))
    for attributes in ({"note": lone}, {"deep": [{"x": lone}]}, {lone: 1}):
        with pytest.raises(InvalidTask, match=r"lone surrogate .*in the attribute '(note|deep|caf\?)'"):
            Example(id="a", attributes=attributes)


@pytest.mark.parametrize("value", [math.nan, [1, math.inf], {"deep": [{"x": -math.inf}]}])
def test_numbers_in_attributes_are_finite(value: Any) -> None:
    with pytest.raises(InvalidTask, match="attribute 'score'"):
        Example(id="a", attributes={"fine": 1.5, "score": value})


def test_an_unknown_field_is_one_error_that_names_it() -> None:
    with pytest.raises(InvalidTask, match=r"^Example.licence: unknown field, did you mean 'license'\?$"):
        Example(id="a", licence="MIT")  # type: ignore[call-arg]
    with pytest.raises(InvalidTask, match=r"^Example.owner: expected text, got a number$"):
        Example(id="a", owner=3)  # type: ignore[arg-type]
    with pytest.raises(ValidationError):  # a payload has places
        Example.model_validate({"id": "a", "licence": "MIT"})
