"""Links of the OpenAPI document: which answer holds what another request needs."""

from typing import Any

Links = dict[str, tuple[str, dict[str, str]]]
"""By name: an operation, and what its parameters are taken from."""
_NAME, _RUN = "$request.path.name", {"run": "$response.body#/id"}
_FIRST_INDEX = {"name": "$response.body#/indexes/0/name"}
_FIRST_RUN = {"run": "$response.body#/runs/0/id"}


def _next(operation: str, parameter: str = "after", **named: str) -> Links:
    """The page that follows."""
    return {"next": (operation, {**named, parameter: "$response.body#/next"})}


LINKS: dict[str, Links] = {
    "list_indexes": {
        "index": ("get_index", _FIRST_INDEX),
        "examples": ("list_examples", _FIRST_INDEX),
        "owners": ("list_owners", _FIRST_INDEX),
        "self_influence": ("list_self_influence", _FIRST_INDEX),
        "versions": ("list_versions", _FIRST_INDEX),
        "events": ("list_events", _FIRST_INDEX),
    },
    "list_examples": {
        "example": ("get_example", {"name": _NAME, "example_id": "$response.body#/examples/0/example/id"}),
        **_next("list_examples", name=_NAME),
    },
    "list_self_influence": _next("list_self_influence", name=_NAME),
    "list_owners": _next("list_owners", name=_NAME),
    "list_versions": {
        "version": ("get_version", {"name": _NAME, "version": "$response.body#/versions/0/version"}),
        **_next("list_versions", name=_NAME),
    },
    "list_aliases": {
        "alias": ("get_alias", {"alias": "$response.body#/aliases/0/alias"}),
        "history": ("get_alias_history", {"alias": "$response.body#/aliases/0/alias"}),
        **_next("list_aliases"),
    },
    "list_keys": _next("list_keys"),
    "create_key": {
        "rotate": ("rotate_key", {"key_id": "$response.body#/id"}),
        "revoke": ("revoke_key", {"key_id": "$response.body#/id"}),
    },
    "list_audit": _next("list_audit"),
    "list_usage": _next("list_usage"),
    "book_event": {"event": ("get_event", {"name": _NAME, "event_id": "$response.body#/id"})},
    "list_events": {
        "event": ("get_event", {"name": _NAME, "event_id": "$response.body#/events/0/id"}),
        **_next("list_events", "before", name=_NAME),
    },
    "revise_policy": {"policy": ("get_policy", {"policy": "$response.body#/policy/name"})},
    "list_policies": {
        "policy": ("get_policy", {"policy": "$response.body#/policies/0/policy/name"}),
        **_next("list_policies"),
    },
    "draft_run": {
        "run": ("get_run", _RUN),
        "approve": ("approve_run", _RUN),
        "void": ("void_run", _RUN),
        "statement": ("get_statement", _RUN),
    },
    "approve_run": {"post": ("post_run", _RUN), "void": ("void_run", _RUN)},
    "post_run": {
        "statement": ("get_statement", _RUN),
        "csv": ("get_statement_csv", _RUN),
        "print": ("print_statement", _RUN),
    },
    "list_runs": {"run": ("get_run", _FIRST_RUN), **_next("list_runs", "before")},
    "list_statements": {
        "statement": ("get_statement", _FIRST_RUN),
        **_next("list_statements", "before"),
    },
    "list_ledger": _next("list_ledger"),
}
"""By operation: the links of its answers, each to an operation with what its parameters are taken from."""


def add_links(document: dict[str, Any]) -> None:
    """Write the links into a document, at the answers that succeed."""
    for item in document["paths"].values():
        for operation in item.values():
            links = LINKS.get(operation.get("operationId", ""), {})
            if links:
                success = next(code for code in sorted(operation["responses"]) if code.startswith("2"))
                operation["responses"][success]["links"] = {
                    name: {"operationId": target, "parameters": parameters}
                    for name, (target, parameters) in links.items()
                }
