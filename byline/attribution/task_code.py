"""Call a Task's own code on queries, and check the results."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from byline.errors import BylineError, InvalidQuery, InvalidTask, Overloaded
from byline.task import Item, ParsedQuery, Prediction, QueryInterface

_DEEPEST = 100
"""Levels of lists and objects that a prediction may have."""


@contextmanager
def task_code() -> Iterator[None]:
    """Refuse a query on which the Task's code raises any error, and keep the cause.

    Whether the query or the Task is at fault cannot be told, so applications show where the cause
    was raised to their operators.
    """
    try:
        yield
    except BylineError:
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise Overloaded("no memory for this query now: send a smaller one, or try again later") from error
    except Exception as error:
        raise InvalidQuery(
            f"expected a query that the Task can process, got one that it failed on ({type(error).__name__})"
        ) from error


def parse_query(interface: QueryInterface, payload: Any) -> ParsedQuery:
    """Have the Task parse a payload.

    Raises:
        InvalidQuery: It refused the payload, or failed on it.
        InvalidTask: It returned something else.
    """
    with task_code():
        parsed = interface.parse(payload)
    if not isinstance(parsed, ParsedQuery):
        raise InvalidTask(f"expected the Task's query.parse to return a ParsedQuery, got a {_kind(parsed)}")
    return parsed


def predict_query(interface: QueryInterface, model: nn.Module, item: Item) -> Prediction:
    """Have the Task complete an item.

    Raises:
        InvalidQuery: It predicts nothing, or failed on the item.
        InvalidTask: It returned something else, or an output that is no JSON.
    """
    if interface.predict is None:
        raise InvalidQuery("expected a query with its label or completion: this Task predicts none")
    with task_code():
        prediction = interface.predict(model, item)
    if not isinstance(prediction, Prediction):
        raise InvalidTask(
            f"expected the Task's query.predict to return a Prediction, got a {_kind(prediction)}"
        )
    if not isinstance(prediction.output, Mapping):
        raise InvalidTask(
            f"expected Prediction.output to be a mapping of names to JSON values, "
            f"got a {_kind(prediction.output)}"
        )
    for key, value in prediction.output.items():
        _require_text(key, "a name")
        _require_json(value, f"'{key}'")
    return prediction


def _require_json(value: object, place: str, depth: int = 0) -> None:
    if depth > _DEEPEST:
        raise InvalidTask(f"expected Prediction.output[{place}] to be JSON, got one nested too deeply")
    if isinstance(value, str):
        _require_text(value, place)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidTask(f"expected Prediction.output[{place}] to be finite, got NaN or infinity")
    elif isinstance(value, list):
        for each in value:
            _require_json(each, place, depth + 1)
    elif isinstance(value, dict):
        for key, each in value.items():
            _require_text(key, place)
            _require_json(each, place, depth + 1)
    elif value is not None and not isinstance(value, bool | int | float):
        raise InvalidTask(
            f"expected Prediction.output[{place}] to be JSON (text, number, boolean, list, dict or None), "
            f"got a {_kind(value)}: convert it, such as with float() or .tolist()"
        )


def _require_text(value: object, place: str) -> None:
    if not isinstance(value, str):
        raise InvalidTask(f"expected text in Prediction.output[{place}], got a {_kind(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidTask(
            f"expected Prediction.output[{place}] to be valid Unicode, got a lone surrogate"
        ) from None


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
