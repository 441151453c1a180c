"""pydantic's errors in Byline's words: which field, what was expected, what kind of thing came, and none of its content."""

import difflib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from byline.errors import BylineError, InvalidQuery

ModelT = TypeVar("ModelT", bound=BaseModel)

SHOWN = 5
"""Errors that one message lists."""
MOST_NAMES = 12
"""Names of fields that one message lists."""
LONGEST_NAME = 64
"""Characters of a made-up name that a message repeats."""

_ECHOING = {"value_error", "assertion_error", "json_invalid"}
"""Kinds of pydantic errors whose message may contain the input."""
_KINDS: Mapping[str, str] = {
    "missing": "expected this field, got none",
    "string_type": "expected text",
    "string_unicode": "expected text that is valid Unicode, got a lone surrogate",
    "int_type": "expected an integer",
    "int_parsing": "expected an integer",
    "int_from_float": "expected an integer, got a number with a fraction",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a finite number, got NaN or infinity",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "set_type": "expected a list",
    "dict_type": "expected an object",
    "model_type": "expected an object",
    "model_attributes_type": "expected an object",
    "callable_type": "expected a function",
    "path_type": "expected a path",
    "none_required": "expected nothing",
    "greater_than": "expected a number above {gt}",
    "greater_than_equal": "expected a number of at least {ge}",
    "less_than": "expected a number below {lt}",
    "less_than_equal": "expected a number of at most {le}",
    "multiple_of": "expected a multiple of {multiple_of}",
    "string_too_short": "expected text of at least {min_length} characters",
    "string_too_long": "expected text of at most {max_length} characters",
    "string_pattern_mismatch": "expected text that matches {pattern}",
    "too_short": "expected at least {min_length} items, got {actual_length}",
    "too_long": "expected at most {max_length} items, got {actual_length}",
    "literal_error": "expected {expected}",
    "enum": "expected {expected}",
    "union_tag_invalid": "expected {discriminator} to be one of {expected_tags}",
    "union_tag_not_found": "expected the field {discriminator}, got none",
}
"""pydantic's kinds of errors to what was expected."""
_SHOWS_TYPE = re.compile(r"_type$|_parsing$")
_TYPES: Mapping[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    dict: "an object",
    list: "a list",
    tuple: "a list",
    type(None): "nothing",
}


def validated(model: type[ModelT], payload: Any, what: str) -> ModelT:
    """Validate a payload as JSON, so that a strict model accepts the JSON form of dates, enums and tuples.

    Args:
        model: Expected model.
        payload: Plain JSON values.
        what: Name of the payload in the message, such as `"query"`.

    Returns:
        The validated model.

    Raises:
        InvalidQuery: The payload does not fit. The message names places and reasons, never content.
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
    """List the fields of a payload whose text JSON cannot hold."""
    found = []
    for name, value in payload.items() if isinstance(payload, Mapping) else ():
        try:
            to_json({str(name): value})
        except (ValueError, RecursionError) as error:
            found += [printable(str(name))] if "surrogates" in str(error) else []
    return found


def describe_errors(error: ValidationError, model: type[BaseModel]) -> str:
    """Put pydantic's errors into one line of places and reasons, without any of the input.

    Args:
        error: pydantic's.
        model: What was validated against.

    Returns:
        `section.field: expected …; …`. Of the input it names types, lengths, and fields that the model does not have.
    """
    details = error.errors(include_url=False)
    lines = [_line(detail, model) for detail in details[:SHOWN]]
    more = [f"and {len(details) - SHOWN} more"] if len(details) > SHOWN else []
    return "; ".join(lines + more)


def reason(detail: Mapping[str, Any]) -> str:
    """Say what one of pydantic's errors means.

    Args:
        detail: Of `ValidationError.errors()`.
    """
    kind, context = str(detail["type"]), detail.get("ctx", {})
    if isinstance(context.get("error"), BylineError):
        return str(context["error"])
    if kind in _ECHOING:
        return "expected a valid value, got one that its own check refused"
    if kind not in _KINDS:
        return re.sub(r"^(Input|Value|String) should ", "expected to ", str(detail["msg"])).replace(
            "expected to be ", "expected "
        )
    said = _counted(_KINDS[kind].format_map(context))
    if _SHOWS_TYPE.search(kind) and "input" in detail:
        said += f", got {type_name(detail['input'])}"
    return said


def type_name(value: object) -> str:
    """Name the kind of a value as people name it who write JSON or TOML."""
    return _TYPES.get(type(value), f"a {type(value).__name__}")


def unknown_field(place: Sequence[object], known: frozenset[str]) -> str:
    """Refuse a name that somebody made up, and say which ones are near it.

    Args:
        place: Where it is, the name last: of it only what is printable is repeated, and no more than `LONGEST_NAME`
            characters.
        known: The names that exist there.
    """
    shown = printable(str(place[-1]))
    where = ".".join([*map(str, place[:-1]), shown])
    near = difflib.get_close_matches(shown, sorted(known), n=1)
    if near:
        return f"{where}: unknown field, did you mean '{near[0]}'?"
    listed = sorted(known)[:MOST_NAMES]
    more = ", …" if len(known) > len(listed) else ""
    return f"{where}: unknown field" + (f", expected {', '.join(listed)}{more}" if listed else "")


def printable(name: str) -> str:
    """Make a name from outside fit for a line of a message or log."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in name[:LONGEST_NAME])
    return f"{shown}…" if len(name) > LONGEST_NAME else shown


def _line(detail: Mapping[str, Any], model: type[BaseModel]) -> str:
    location = tuple(detail["loc"])
    if detail["type"] == "extra_forbidden":
        place, names = _walked(model, location[:-1])
        return unknown_field([*place, location[-1]], names)
    place, _ = _walked(model, location)
    return f"{'.'.join(place)}: {reason(detail)}" if place else reason(detail)


def _walked(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[list[str], frozenset[str]]:
    """Name a place as a person would, and the fields that it has.

    A key that the caller made up is shown as `*`; the parts that pydantic puts in for a union's choice are left out.
    """
    schema = _schema(model)
    nodes, names = _expanded(schema, [schema]), []
    for part in location:
        step = _step(schema, nodes, part)
        if step is not None:
            nodes, name = step
            names += [name] if name else []
        elif not _is_choice(nodes):
            names.append("*")
    fields = {name for node in nodes for name in node.get("properties", ())}
    return names, frozenset(fields)


def _step(
    schema: Mapping[str, Any], nodes: list[dict[str, Any]], part: int | str
) -> tuple[list[dict[str, Any]], str] | None:
    """Go one part of a location down: what is there and what it is called; None where the schema has no such part."""
    for node in nodes:
        mapping = node.get("discriminator", {}).get("mapping", {})
        if part in mapping:
            return _expanded(schema, [{"$ref": mapping[part]}]), ""
    if isinstance(part, int):
        items = [node["items"] for node in nodes if isinstance(node.get("items"), dict)]
        items += [each for node in nodes for each in node.get("prefixItems", ())[part : part + 1]]
        return _expanded(schema, items), str(part)
    found = [node["properties"][part] for node in nodes if part in node.get("properties", ())]
    if found:
        return _expanded(schema, found), part
    values = [n["additionalProperties"] for n in nodes if isinstance(n.get("additionalProperties"), dict)]
    return (_expanded(schema, values), "*") if values else None


def _is_choice(nodes: list[dict[str, Any]]) -> bool:
    """Whether pydantic's next part names one of several types."""
    return any("anyOf" in node or "oneOf" in node for node in nodes)


def _expanded(schema: Mapping[str, Any], nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The nodes and all that they refer to or may be."""
    found: list[dict[str, Any]] = []
    waiting = list(nodes)
    while waiting:
        node = waiting.pop(0)
        if any(node is each for each in found):
            continue
        found.append(node)
        if "$ref" in node:
            waiting.append(schema.get("$defs", {}).get(str(node["$ref"]).rpartition("/")[2], {}))
        for several in ("anyOf", "oneOf", "allOf"):
            waiting.extend(node.get(several, ()))
    return found


def _counted(text: str) -> str:
    """`1 characters` is one of them."""
    return re.sub(r"\b1 (character|item)s\b", r"1 \1", text)


@lru_cache(maxsize=256)
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    try:
        return model.model_json_schema()
    except Exception:  # a field that JSON cannot describe: the model's own fields are known all the same
        return {"properties": {name: {} for name in model.model_fields}}


def described(error: ValidationError) -> str:
    """Put pydantic's errors into one line where the model is not at hand: it is named, and places are pydantic's."""
    details = error.errors(include_url=False)
    lines = []
    for detail in details[:SHOWN]:
        place = ".".join([printable(error.title), *(printable(str(part)) for part in detail["loc"])])
        said = "unknown field" if detail["type"] == "extra_forbidden" else reason(detail)
        lines.append(f"{place}: {said}")
    more = [f"and {len(details) - SHOWN} more"] if len(details) > SHOWN else []
    return "; ".join(lines + more)
