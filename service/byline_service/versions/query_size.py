"""Size of an index's queries, from the JSON schema of their payload."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def most_numbers(payload: type[BaseModel]) -> int:
    """Count the most numbers that a payload's bounded lists hold, such as the pixels of an image.

    Args:
        payload: The Task's `query.payload`.

    Returns:
        The number. Lists without a bound count as one entry.
    """
    schema = payload.model_json_schema()
    return _numbers(schema, schema.get("$defs", {}), ())


def _numbers(schema: Mapping[str, Any], named: Mapping[str, Any], within: tuple[str, ...]) -> int:
    name = str(schema.get("$ref", "")).rsplit("/", 1)[-1]
    if name in within:  # a payload that holds itself has no bound
        return 0
    if name:
        return _numbers(named.get(name, {}), named, (*within, name))
    choices = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    found = max((_numbers(each, named, within) for each in choices), default=0)
    if schema.get("type") in {"number", "integer"}:
        found = max(found, 1)
    if "items" in schema:
        found = max(found, int(schema.get("maxItems", 1)) * _numbers(schema["items"], named, within))
    parts = schema.get("properties", {}).values()
    return max(found, sum(_numbers(each, named, within) for each in parts))
