"""Validation against pydantic models, with messages that name the field and the types but never the content."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, wraps
from itertools import takewhile
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from byline.errors import BylineError, Fault, InvalidQuery

ModelT = TypeVar("ModelT", bound=BaseModel)

SHOWN = 5
"""Number of errors that a message lists."""
MOST_NAMES = 12
"""Number of field names that a message lists."""
DEEPEST = 100
"""Levels of a payload that are searched for what is not JSON."""
LONGEST_NAME = 64
"""Number of characters of an unknown name that a message repeats."""

_ECHOING = {"value_error", "assertion_error", "json_invalid"}
"""Types of pydantic errors whose message may contain the input."""
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
"""Expectations by pydantic's error type."""
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


def validated(model: type[ModelT], payload: Any, what: str, pointer: str = "") -> ModelT:
    """Validate a payload as JSON, so that a strict model accepts the JSON form of dates, enums and tuples.

    Args:
        model: Expected model.
        payload: Plain JSON values.
        what: Name of the payload in the message, such as `"query"`.
        pointer: JSON Pointer of the payload in the input that it is part of.

    Returns:
        The validated model.

    Raises:
        InvalidQuery: The payload does not fit. The message names places and reasons, never content.
    """
    try:
        return model.model_validate_json(to_json(payload))
    except ValidationError as error:
        raise InvalidQuery(
            f"expected a valid {what}: {describe_errors(error, model)}", _faults(error, model, pointer)
        ) from None
    except (ValueError, RecursionError):
        if (found := _not_json(payload)) is not None:
            raise InvalidQuery(f"expected a valid {what}: {_not_json_line(model, *found)}") from None
        raise InvalidQuery(
            f"expected a valid {what}, got one that is nested too deeply or holds other than JSON values"
        ) from None


def _faults(error: ValidationError, model: type[BaseModel], pointer: str) -> list[Fault]:
    """Point to the wrong parts of a payload. A pointer ends before a name that the model does not declare."""
    found = []
    for detail in error.errors(include_url=False)[:SHOWN]:
        unknown = detail["type"] == "extra_forbidden"
        names, _ = _walked(model, detail["loc"][:-1] if unknown else detail["loc"])
        known = takewhile(lambda name: name != "*", names)
        place = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in known)
        found.append(Fault(pointer + place, "unknown field" if unknown else reason(detail)))
    return found


def _not_json(
    value: object, place: tuple[int | str, ...] = ()
) -> tuple[tuple[int | str, ...], object] | None:
    """Find the first part of a payload that JSON cannot hold, and its place. A payload may contain itself."""
    if len(place) > DEEPEST:
        return None
    parts: list[tuple[int | str, object]]
    if isinstance(value, Mapping):
        keys = [(place, key) for key in value if not _is_json({key: None})]
        if keys:
            return keys[0]
        parts = [(str(key), part) for key, part in value.items()]
    elif isinstance(value, list | tuple):
        parts = list(enumerate(value))
    else:
        return None if _is_json(value) else (place, value)
    found = (_not_json(part, (*place, key)) for key, part in parts)
    return next((each for each in found if each is not None), None)


def _is_json(value: object) -> bool:
    try:
        to_json(value)
    except (ValueError, RecursionError):
        return False
    return True


def _not_json_line(model: type[BaseModel], location: tuple[int | str, ...], value: object) -> str:
    names, _ = _walked(model, location)
    if names[:1] == ["*"]:  # an unknown field
        names[0] = printable(str(location[0]))
    place = f"{'.'.join(names)}: " if names else ""
    if isinstance(value, str):
        return f"{place}{_KINDS['string_unicode']}"
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    way_out = ": pass its .tolist()" if hasattr(value, "tolist") else ""
    return f"{place}expected JSON values, got a {name}{way_out}"


def one_error(kind: type[BylineError]) -> Callable[[type[ModelT]], type[ModelT]]:
    """Make a model's constructor raise one error of Byline's, in one line that names the fields.

    Validation of a payload (`model_validate`) raises pydantic's errors as before: they have places.

    Args:
        kind: Class of the error.

    Returns:
        A decorator of the model.
    """

    def decorate(model: type[ModelT]) -> type[ModelT]:
        given = model.__init__

        @wraps(given)
        def init(self: ModelT, /, **values: Any) -> None:
            try:
                given(self, **values)
            except ValidationError as error:
                raise kind(f"{type(self).__name__}.{describe_errors(error, type(self))}") from None

        model.__init__ = init  # type: ignore[method-assign, assignment]  # wraps what pydantic made
        return model

    return decorate


def describe_errors(error: ValidationError, model: type[BaseModel]) -> str:
    """Describe pydantic's errors on one line of places and reasons, without the input.

    Args:
        error: Errors of the validation.
        model: Model of the validation.

    Returns:
        `section.field: expected …; …`. The line names types, lengths and unknown fields of the input.
    """
    details = error.errors(include_url=False)
    lines = [_line(detail, model) for detail in details[:SHOWN]]
    more = [f"and {len(details) - SHOWN} more"] if len(details) > SHOWN else []
    return "; ".join(lines + more)


def reason(detail: Mapping[str, Any]) -> str:
    """Explain one of pydantic's errors.

    Args:
        detail: Element of `ValidationError.errors()`.
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
    """Name the type of a value in the terms of JSON and TOML."""
    return _TYPES.get(type(value), f"a {type(value).__name__}")


def unknown_field(place: Sequence[object], known: frozenset[str]) -> str:
    """Describe an unknown field, with the nearest known name.

    Args:
        place: Path of the field. The message repeats the printable characters of its name, at most `LONGEST_NAME`.
        known: Names of the known fields.
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
    """Make a foreign name safe for one line of a message or log."""
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
    """Resolve a location to readable names, and list the fields there.

    An unknown key appears as `*`. The parts that pydantic inserts for the choice of a union are left out.
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
    """Descend by one part of a location. Returns None if the schema has no such part."""
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
    """Check whether pydantic's next part names one of several types."""
    return any("anyOf" in node or "oneOf" in node for node in nodes)


def _expanded(schema: Mapping[str, Any], nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the nodes behind references and unions."""
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
    """Correct the plural in `1 characters`."""
    return re.sub(r"\b1 (character|item)s\b", r"1 \1", text)


@lru_cache(maxsize=256)
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    try:
        return model.model_json_schema()
    except Exception:  # a field without a JSON schema: the names of the fields are known anyway
        return {"properties": {name: {} for name in model.model_fields}}


def described(error: ValidationError) -> str:
    """Describe pydantic's errors on one line without the model: the line has its name, and pydantic's places."""
    details = error.errors(include_url=False)
    lines = []
    for detail in details[:SHOWN]:
        place = ".".join([printable(error.title), *(printable(str(part)) for part in detail["loc"])])
        said = "unknown field" if detail["type"] == "extra_forbidden" else reason(detail)
        lines.append(f"{place}: {said}")
    more = [f"and {len(details) - SHOWN} more"] if len(details) > SHOWN else []
    return "; ".join(lines + more)
