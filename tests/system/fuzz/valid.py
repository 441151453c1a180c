"""Write a valid request of every route, from the OpenAPI document: mutations start from these."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tests.system.fuzz.shapes import JSON, Known
from tests.system.quick_days import DAYS_A_SECOND
from tests.system.serving import QUERY, Served

KEY = {"name": "victim", "person": "somebody", "scopes": ["read", "query"]}
POLICY: dict[str, Any] = {"name": "royalties", "currency": "EUR", "pool": 1_000_000, "period": "day"}
HOLD = {"subject": {"owner": "owner 1", "index": "tiny", "work": "point-3"}, "reason": "a claim"}
ALLOCATION = {"kind": "allocation", "policy": POLICY["name"]}
PAGES = (
    b"/",
    b"/indexes",
    b"/indexes/tiny",
    b"/indexes/tiny/owners.csv",
    b"/login",
    b"/docs",
    b"/openapi.json",
    b"/static/byline.css",
    b"/static/icon.svg",
)


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
    """List each operation's method, path and description."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in {"get", "post", "put", "patch", "delete"}:
                yield method.upper().encode(), path, operation


def bodies(known: Known) -> dict[str, bytes]:
    """Write bodies by operation id."""
    query = json.loads(known.query)
    switch = {"index": known.index, "version": "0123456789ab", "expected": 1}
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
            "register_version": {"version": "0123456789ab"},
            "put_alias": switch,
            "roll_back_alias": {"expected": 1},
            "create_key": KEY | {"expires_at": "2100-01-01T00:00:00Z", "requests_per_minute": 60},
            "rotate_key": {"overlap_hours": 1.5},
            "book_event": {"query": query, "weight": 2, "reference": "generation 1"},
            "revise_policy": POLICY | {"minimum_quality": {"metric": "lds", "least": 0.1}, "floor": 5},
            "place_hold": HOLD,
            "end_hold": {"reason": "settled"},
            "prepare_payout": {"policy": POLICY["name"], "amounts": {"a": 1}},
            "confirm_payout": {"reference": "B 1", "value_date": "2026-04-03"},
            "draft_run": {"draft": ALLOCATION | {"period": "2020-01-01"}},
        }.items()
    }


def settled(served: Served) -> dict[str, str]:
    """Create one of everything in a service, for mutated requests to read and change.

    Returns:
        Values of path parameters.
    """

    def made(path: str, body: object, key: str | None = None) -> dict[str, Any]:
        status, answer = served.post(path, json.dumps(body).encode(), key=key)
        assert status in {200, 201}, (path, status, answer)
        found: dict[str, Any] = json.loads(answer)
        return found

    victim = made("/v1/keys", KEY)
    approver = served.key_of("another", "approve")
    made("/v1/policies", POLICY)  # a second time it is another revision
    event = made("/v1/indexes/tiny/events", {"query": json.loads(QUERY)})
    time.sleep(3 / DAYS_A_SECOND)  # until the event's day has ended
    run = made("/v1/statement-runs", {"draft": ALLOCATION | {"period": event["booked_at"][:10]}})
    for step in ("approve", "post"):
        made(f"/v1/statement-runs/{run['id']}/{step}", {}, approver)
    made("/v1/parties", {"name": HOLD["subject"]["owner"]})
    hold = made("/v1/holds", HOLD)
    return {
        "name": "tiny",
        "hold": hold["id"],
        "alias": "tiny",
        "version": event["version"],
        "example_id": "point-3",
        "key_id": victim["id"],
        "policy": POLICY["name"],
        "event_id": event["id"],
        "run": run["id"],
    }


class Values(dict[str, str]):
    """Fill path parameters; unknown ones are 1."""

    def __missing__(self, name: str) -> str:
        return "1"


def _lines(body: bytes) -> tuple[bytes, ...]:
    length = b"Content-Length: %d" % len(body)
    return (b"Content-Type: " + JSON, length, b"Idempotency-Key: one", b"Connection: close")


def _query(operation: Mapping[str, Any]) -> bytes:
    names = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"}
    return b"?limit=3" if "limit" in names else b""
