"""The OpenAPI document, arranged for the page at `/docs`."""

from typing import Any

_METHODS = ("get", "post", "put", "delete")


def reference(document: dict[str, Any]) -> dict[str, Any]:
    """Arrange an OpenAPI document for reading.

    Args:
        document: As `/openapi.json` has it.

    Returns:
        `description`; `groups` of operations by tag; `schemas` with their fields.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                operation = methods[method]
                group = groups.setdefault(operation["tags"][0], [])
                group.append(_operation(method, path, operation))
    schemas = document["components"]["schemas"]
    return {
        "description": document["info"]["description"],
        "groups": groups,
        "schemas": [_schema(name, schemas[name]) for name in sorted(schemas)],
    }


def _operation(method: str, path: str, operation: dict[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {})
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation.get("description", "").split("\n\n", maxsplit=1)[0],
        "more": operation.get("description", "").split("\n\n")[1:],
        "parameters": [
            {
                "name": each["name"],
                "place": each["in"],
                "type": kind(each["schema"]),
                "default": each["schema"].get("default"),
                "description": each.get("description", each["schema"].get("description", "")),
            }
            for each in operation.get("parameters", [])
        ],
        "bodies": [(media, kind(content["schema"])) for media, content in body.items()],
        "responses": [
            (status, each["description"], _content(each))
            for status, each in sorted(operation["responses"].items())
            if status != "422" or "application/problem+json" in each.get("content", {})
        ],
    }


def _content(response: dict[str, Any]) -> str:
    kinds = [kind(content.get("schema", {})) for content in response.get("content", {}).values()]
    return ", ".join(kinds)


def _schema(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    required = set(schema.get("required", ()))
    fields = [
        (field, kind(each), field in required, each.get("description", ""))
        for field, each in schema.get("properties", {}).items()
    ]
    return {"name": name, "description": schema.get("description", ""), "fields": fields}


def kind(schema: dict[str, Any]) -> str:
    """Write a schema's type in a few words: `array of Example, or null`."""
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[-1])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return ", or ".join(dict.fromkeys(kind(each) for each in schema[union]))
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"array of {kind(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "any")
