"""Links of the OpenAPI document: which answer holds what another request needs."""

from typing import Any

LINKS: dict[str, dict[str, tuple[str, dict[str, str]]]] = {
    "list_indexes": {
        "index": ("get_index", {"name": "$response.body#/indexes/0/name"}),
        "examples": ("list_examples", {"name": "$response.body#/indexes/0/name"}),
        "owners": ("list_owners", {"name": "$response.body#/indexes/0/name"}),
        "coverage": ("get_coverage", {"name": "$response.body#/indexes/0/name"}),
        "self_influence": ("list_self_influence", {"name": "$response.body#/indexes/0/name"}),
    },
    "list_examples": {
        "example": (
            "get_example",
            {"name": "$request.path.name", "example_id": "$response.body#/examples/0/example/id"},
        ),
        "next": ("list_examples", {"name": "$request.path.name", "after": "$response.body#/next"}),
    },
    "list_self_influence": {
        "next": ("list_self_influence", {"name": "$request.path.name", "after": "$response.body#/next"}),
    },
    "list_owners": {
        "next": ("list_owners", {"name": "$request.path.name", "after": "$response.body#/next"}),
    },
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
