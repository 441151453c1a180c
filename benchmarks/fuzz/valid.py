"""A valid request of every route, from the OpenAPI document: what mutations start from."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.fuzz.shapes import JSON, Known

PAGES = (b"/", b"/docs", b"/openapi.json", b"/static/byline.css", b"/static/icon.svg")


def requests(document: Mapping[str, Any], known: Known, values: Mapping[str, str]) -> list[bytes]:
    """Write a request of each operation and page.

    Args:
        document: The OpenAPI document.
        known: Who asks what.
        values: By name of a path parameter: something that exists.
    """
    written = [known.get(page) for page in PAGES]
    for method, path, operation in operations(document):
        address = path.format_map(Values(values)).encode()
        if "requestBody" in operation:
            body = bodies(known).get(operation["operationId"], b"{}")
            written.append(known.head(method, address, *_lines(body)) + body)
        else:
            written.append(known.head(method, address + _query(operation), b"Connection: close"))
    return written


def operations(document: Mapping[str, Any]) -> Iterator[tuple[bytes, str, Mapping[str, Any]]]:
    """Each operation's method, path and description."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in {"get", "post", "put", "patch", "delete"}:
                yield method.upper().encode(), path, operation


def bodies(known: Known) -> dict[str, bytes]:
    """Bodies by operation id."""
    query = json.loads(known.query)
    return {
        name: json.dumps(body).encode()
        for name, body in {
            "attribute": {
                "query": query,
                "k": 3,
                "direction": "both",
                "members": True,
                "filter": {"label": ["1"]},
            },
            "shares": {"query": query, "owners_limit": 2},
        }.items()
    }


class Values(dict[str, str]):
    """Values of path parameters; one that is not known is 1."""

    def __missing__(self, name: str) -> str:
        return "1"


def _lines(body: bytes) -> tuple[bytes, ...]:
    length = b"Content-Length: %d" % len(body)
    return (b"Content-Type: " + JSON, length, b"Idempotency-Key: one", b"Connection: close")


def _query(operation: Mapping[str, Any]) -> bytes:
    names = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"}
    return b"?limit=3" if "limit" in names else b""
