"""Validate payloads by pydantic models, with messages that never repeat content."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from byline.api.validation import describe_errors, printable
from byline.errors import InvalidQuery

ModelT = TypeVar("ModelT", bound=BaseModel)


def validated(model: type[ModelT], payload: Any, what: str) -> ModelT:
    """Validate a payload, as JSON: a strict model takes the JSON form of its dates, enums and tuples.

    Args:
        model: The expected model.
        payload: Plain JSON values.
        what: Name of the payload in messages: `"query"`.

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
        for name in _surrogates_in(payload):
            raise InvalidQuery(
                f"expected a valid {what}: {name}: expected text that is valid Unicode, got a lone surrogate"
            ) from None
        raise InvalidQuery(
            f"expected a valid {what}, got one that is nested too deeply or holds other than JSON values"
        ) from None


def _surrogates_in(payload: Any) -> list[str]:
    """Fields of a payload whose text JSON cannot hold."""
    found = []
    for name, value in payload.items() if isinstance(payload, Mapping) else ():
        try:
            to_json({str(name): value})
        except (ValueError, RecursionError) as error:
            found += [printable(str(name))] if "surrogates" in str(error) else []
    return found
