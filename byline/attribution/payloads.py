"""Checking payloads against pydantic models, with messages that never repeat what came in."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from byline.errors import BylineError, InvalidQuery

ModelT = TypeVar("ModelT", bound=BaseModel)

_ECHOING = {"value_error", "assertion_error", "union_tag_invalid", "json_invalid"}
"""Kinds of pydantic errors whose message may contain the input."""
_SHOWN = 5
"""Errors that one message lists."""


def validated(model: type[ModelT], payload: Any, what: str) -> ModelT:
    """Validate a payload, as JSON: a strict model takes the JSON form of its dates, enums and tuples.

    Args:
        model: What is expected.
        payload: Plain JSON values.
        what: How the message names the payload: `"query"`.

    Returns:
        The validated model.

    Raises:
        InvalidQuery: It does not fit; the message names places and reasons, never content.
    """
    try:
        return model.model_validate_json(to_json(payload))
    except ValidationError as error:
        raise InvalidQuery(f"expected a valid {what}: {describe_errors(error, model)}") from None
    except (ValueError, RecursionError):
        raise InvalidQuery(
            f"expected a valid {what}, got one that is nested too deeply or holds other than JSON values"
        ) from None


def describe_errors(error: ValidationError, model: type[BaseModel]) -> str:
    """Put pydantic's errors into one line of places and reasons, without any of the input."""
    known = _field_names(model)
    details = error.errors(include_url=False, include_input=False)
    lines = [f"{_place(detail['loc'], known)}{_reason(detail)}" for detail in details[:_SHOWN]]
    more = [f"and {len(details) - _SHOWN} more"] if len(details) > _SHOWN else []
    return "; ".join(lines + more)


def _place(location: tuple[int | str, ...], known: frozenset[str]) -> str:
    """Name the place; a key that the caller made up is shown as `*`."""
    names = [str(part) if isinstance(part, int) or part in known else "*" for part in location]
    return ".".join(names) + ": " if names else ""


def _reason(detail: Mapping[str, Any]) -> str:
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, BylineError):
        return str(cause)
    return "not a valid value" if detail["type"] in _ECHOING else str(detail["msg"])


@lru_cache(maxsize=256)
def _field_names(model: type[BaseModel]) -> frozenset[str]:
    names: set[str] = set()
    waiting: list[Any] = [model.model_json_schema()]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            properties = node.get("properties")
            names.update(properties if isinstance(properties, dict) else ())
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return frozenset(names)
