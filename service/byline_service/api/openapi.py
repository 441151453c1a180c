"""The OpenAPI document: FastAPI's, with the bodies read by hand and each index's queries."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel

from byline.api.attributions import AttributionBody, Progress, SharesBody
from byline.api.compensation import EventBody
from byline.recipes import Recipe
from byline_service.accounts.permissions import is_public, requirement_of
from byline_service.api.operation_details import describe_operations
from byline_service.http.bodies import REQUEST_BODIES
from byline_service.http.problems import Problem
from byline_service.state import AppState

_REF = "#/components/schemas/{model}"
TAGS = {
    "Attributions": "Questions to an index: scores of training points and shares of owners.",
    "Indexes": "Served indexes, their training points, owners and self-influence.",
    "Versions": "Versions of indexes and the aliases that stand for them.",
    "Accounts": "Keys, persons, the audit log and usage.",
    "Compensation": "Events, policies, statement runs and the ledger.",
    "Health": "State of the process, and metrics.",
}
"""Tags of operations, in the order of the reference."""
_UNUSED = ("HTTPValidationError", "ValidationError")
"""FastAPI's own error shapes: ours are problem documents."""


def document(app: FastAPI, service: AppState) -> dict[str, Any]:
    """Write the OpenAPI document of an application."""
    written = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas: dict[str, Any] = written.setdefault("components", {}).setdefault("schemas", {})
    for unused in _UNUSED:
        schemas.pop(unused, None)
    models: list[type[BaseModel]] = [
        AttributionBody,
        SharesBody,
        Problem,
        Progress,
        Recipe,
        *REQUEST_BODIES.values(),
    ]
    for model in models:
        _add(schemas, model.__name__, model)
    described = schemas["IndexInfo"]["properties"]
    # The documents are read without torch, so the recipe is plain JSON in them; here it is described in full.
    described["recipe_document"] = {
        "$ref": _REF.format(model="Recipe"),
        "description": described["recipe_document"]["description"],
    }
    _name_keys(written)
    _name_scopes(written, app)
    describe_operations(written)
    written["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    queries = _query_schemas(schemas, service)
    for body in (AttributionBody, SharesBody, EventBody):
        _name_queries(schemas[body.__name__]["properties"], queries)
    return written


def _name_keys(written: dict[str, Any]) -> None:
    """Say which operations need a key."""
    written["components"]["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "byl_…",
            "description": "A key, see docs/accounts.md",
        }
    }
    for path, operations in written["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if is_public(path) else [{"key": []}]


def _name_scopes(written: dict[str, Any], app: FastAPI) -> None:
    """Say which scope each operation needs, as its route requires it."""
    for route in iter_route_contexts(app.routes):
        found = requirement_of(getattr(route, "dependant", None))
        for method in getattr(route, "methods", None) or ():
            operation = written["paths"].get(getattr(route, "path_format", ""), {}).get(method.lower())
            if operation is None or found is None:
                continue
            needed = "any valid key" if found.scope is None else f"a key with the scope `{found.scope}`"
            owners = "" if found.owner_scoped else " that sees every owner"
            operation["x-scope"] = found.scope
            operation["description"] = f"{operation['description']}\n\nNeeds {needed}{owners}."


def _query_schemas(schemas: dict[str, Any], service: AppState) -> list[dict[str, str]]:
    """Add each index's payload, under the index's name: two may name theirs alike."""
    found = []
    for name, attributor in sorted(service.attributors.items()):
        if attributor.task is not None and attributor.task.query is not None:
            key = f"Query_{name}"
            _add(schemas, key, attributor.task.query.payload, prefix=f"{key}_")
            found.append({"$ref": _REF.format(model=key)})
    for key in [key for key in schemas if key.startswith("Query_")]:
        schemas[key] = _without_examples(schemas[key])
    return found


def _without_examples(schema: Any) -> Any:
    """Leave out the values that a payload names: anyone may read the document, and they may be training rows."""
    if isinstance(schema, list):
        return [_without_examples(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "properties":
            kept[name] = {field: _without_examples(each) for field, each in value.items()}
        elif name not in {"example", "examples"}:
            kept[name] = value if name in {"enum", "const", "default"} else _without_examples(value)
    return kept


def _add(schemas: dict[str, Any], key: str, model: type[BaseModel], prefix: str = "") -> None:
    schema = model.model_json_schema(ref_template=_REF.replace("{model}", prefix + "{model}"))
    for name, definition in schema.pop("$defs", {}).items():
        schemas[prefix + name] = definition
    schemas[key] = schema


def _name_queries(properties: dict[str, Any], queries: list[dict[str, str]]) -> None:
    """Declare a query as one of the indexes' payloads. The path determines which one."""
    if not queries:
        return
    payload = {"anyOf": queries}
    for name, field in properties.items():
        if name == "query":
            field["anyOf"] = [*queries, {"type": "null"}]
        elif name in {"queries", "query_set"}:
            field["anyOf"] = [{"type": "array", "items": payload, "minItems": 1}, {"type": "null"}]
