"""The options of `byline query` are the fields of a question, with the same defaults and bounds."""

import inspect
from typing import Any, get_args

import annotated_types
import pytest
from typer.models import OptionInfo

from byline.api.query import AttributionOptions, Filter
from byline_indexer.cli.query import query

FIELDS = AttributionOptions.model_fields
OPTIONS = inspect.signature(query).parameters


def bounds(constraints: list[Any]) -> tuple[Any, Any]:
    """The smallest and the largest value that a field's constraints allow; None without."""
    lowest = [each.ge for each in constraints if isinstance(each, annotated_types.Ge)]
    highest = [each.le for each in constraints if isinstance(each, annotated_types.Le)]
    return (lowest or [None])[0], (highest or [None])[0]


def test_every_field_is_an_option() -> None:
    filters = {f"filter_{name}" for name in Filter.model_fields if name != "attributes"}
    assert set(OPTIONS) == (set(FIELDS) - {"filter"}) | filters | {"index", "payload", "as_json"}


@pytest.mark.parametrize("name", sorted(set(FIELDS) - {"filter"}))
def test_defaults_and_bounds_are_those_of_the_field(name: str) -> None:
    assert OPTIONS[name].default == FIELDS[name].default
    (option,) = (each for each in get_args(OPTIONS[name].annotation) if isinstance(each, OptionInfo))
    assert (option.min, option.max) == bounds(FIELDS[name].metadata)
