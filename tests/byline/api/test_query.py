"""The options of a question are declared once: the client, HTTP, the command line and Python have the same ones."""

import inspect
import re
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch
import typer.main

from byline.__main__ import compose
from byline.api.attributions import AttributionBody
from byline.api.query import (
    AttributionKeywords,
    AttributionOptions,
    Filter,
    OwnerOptions,
    RankingKeywords,
    RankingOptions,
    SharesKeywords,
    TargetOption,
    options_of,
)
from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.client import AsyncClient, Client
from byline.errors import InvalidQuery
from byline_service.attributions.requests import GradientOptions

ROOT = Path(__file__).resolve().parents[3]
OPTIONS = set(AttributionOptions.model_fields)
FORMS = {"query", "query_set", "feature", "gradient", "queries", "examples", "every_owner", "works"}
WAITING = {"on_progress", "timeout"}
FILTERED = set(Filter.model_fields) - {"attributes"}


def keywords(method: Any) -> set[str]:
    """Names that a method's `**options: Unpack[...]` takes."""
    (options,) = [
        each for each in inspect.signature(method).parameters.values() if each.kind is each.VAR_KEYWORD
    ]
    return set(options.annotation.__args__[0].__annotations__)


def test_the_options_are_these() -> None:
    names = (
        "k direction filter target baseline members shares owners_limit drill_down drill_groups refine tokens "
        "replicates"
    )
    assert set(names.split()) == OPTIONS


def test_requests_and_bodies_are_the_options_and_a_query() -> None:
    for model in (AttributionRequest, AttributionBody):
        assert set(model.model_fields) - FORMS == OPTIONS
        for name in OPTIONS:
            assert model.model_fields[name].default == AttributionOptions.model_fields[name].default
            assert model.model_fields[name].annotation == AttributionOptions.model_fields[name].annotation


def test_a_gradients_parameters_are_those_that_fit_it() -> None:
    assert set(GradientOptions.model_fields) == set(RankingOptions.model_fields) | FILTERED
    assert OPTIONS - set(RankingOptions.model_fields) == {
        "filter",
        "target",
        "baseline",
        "tokens",
        "replicates",
    }


def test_keywords_are_typed_as_the_fields() -> None:
    typed = get_type_hints(AttributionKeywords)
    assert set(typed) == OPTIONS
    for name, kind in typed.items():
        if name != "filter":  # a mapping will do as well
            assert kind == AttributionOptions.model_fields[name].annotation, name
    assert set(get_type_hints(RankingKeywords)) == OPTIONS - {"target", "baseline", "tokens", "replicates"}
    shares = set(OwnerOptions.model_fields) | set(TargetOption.model_fields)
    assert set(get_type_hints(SharesKeywords)) == shares


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_the_client_takes_what_python_takes(client: Any) -> None:
    for name in ("attribute", "attribute_batch", "attribute_set"):
        assert keywords(getattr(client, name)) - WAITING == keywords(Attributor.attribute) == OPTIONS
    for name in ("attribute_feature", "attribute_tensors", "attribute_gradient"):
        assert keywords(getattr(client, name)) - WAITING == OPTIONS - {
            "target",
            "baseline",
            "tokens",
            "replicates",
        }
    for name in ("shares", "shares_of_set", "shares_of_feature"):
        assert keywords(getattr(client, name)) - WAITING == keywords(Attributor.shares)


def test_the_command_line_takes_the_same_by_the_same_names() -> None:
    command: Any = typer.main.get_command(compose())
    (query,) = [each for name, each in command.commands.items() if name == "query"]
    parameters = {each.name: each for each in query.params}
    filters = {f"filter_{name}" for name in FILTERED}
    assert set(parameters) - {"index", "payload", "as_json", "help"} == (OPTIONS - {"filter"}) | filters
    for name in OPTIONS - {"filter"}:
        assert parameters[name].default == AttributionOptions.model_fields[name].default, name


def test_the_page_asks_with_the_same_names() -> None:
    script = (ROOT / "service" / "byline_service" / "static" / "ask.js").read_text()
    (sent,) = re.findall(
        r"function body\(payload\) \{.*?return \{(.*?)^  \};", script, re.DOTALL | re.MULTILINE
    )
    names = set(re.findall(r"^    (\w+)[:,]", sent, re.MULTILINE))
    assert (
        names - {"query"}
        == {"k", "direction", "target", "baseline", "filter", "shares", "tokens", "replicates"}
        <= OPTIONS | {"query"}
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"k": 0}, "k: expected a number of at least 1"),
        ({"K": 1}, "K: unknown field"),
        ({"direction": "secret"}, "direction: expected 'proponents', 'opponents' or 'both'"),
        ({"filter": {"owner": "secret"}}, "filter.owner: expected a list, got text"),
        ({"filter": {"who": ["secret"]}}, "filter.who: unknown field, expected"),
        ({"baseline": "knn_shapley"}, "offered by `byline scores` only"),
        ({"k": True}, "k: expected an integer, got true or false"),
        ({"k": np.float64(3)}, "k: expected an integer, got a float64"),
        ({"drill_groups": np.ones(2)}, "drill_groups: expected an integer, got a ndarray"),
        ({"owners_limit": np.int64(0)}, "owners_limit: expected a number of at least 1"),
    ],
)
def test_wrong_keywords_are_refused_the_same_way_everywhere(wrong: dict[str, Any], message: str) -> None:
    for check in (options_of, lambda **options: AttributionRequest(query={}, **options)):
        with pytest.raises(InvalidQuery) as caught:
            check(**wrong)
        assert message in str(caught.value)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", [["secret"], {"secret": 1}])
def test_an_attribute_that_is_no_scalar_is_named_once(value: object) -> None:
    with pytest.raises(InvalidQuery) as caught:
        options_of(filter={"attributes": {"secret": value}})
    kind = "a list" if isinstance(value, list) else "an object"
    expected = "expected text, a number, true or false, or null"
    assert str(caught.value) == f"filter.attributes.*: {expected}, got {kind}"


@pytest.mark.parametrize("number", [np.int64(3), np.uint8(3), torch.tensor(3)])
def test_integers_of_arrays_count(number: Any) -> None:
    options = options_of(k=number, drill_groups=number, owners_limit=number)
    assert (options.k, options.drill_groups, options.owners_limit) == (3, 3, 3)
    assert {type(options.k), type(options.drill_groups), type(options.owners_limit)} == {int}
    assert AttributionRequest(query={}, k=number).k == 3


def test_a_changed_request_is_checked_again() -> None:
    request = AttributionRequest(query={"x": 1}, baseline="bm25")
    assert request.changed(k=3).k == 3
    with pytest.raises(InvalidQuery, match="shares follow influence"):
        request.changed(shares=True)
