"""Details of operations for the OpenAPI document: descriptions of parameters, examples of bodies, places of new entries."""

from collections.abc import Mapping
from typing import Any

from byline_service.http.bodies import JSON

PARAMETERS = {
    "name": "Name of an index, or an alias of it",
    "alias": "Name of an alias",
    "version": "Name of a version of the index",
    "example_id": "Id of a training point",
    "event_id": "Id of an event",
    "policy": "Name of a policy",
    "run": "Id of a statement run",
    "hold": "Id of a hold",
    "owner": "Name of an owner",
}
"""Descriptions of the parameters that many operations share, by name."""
_CREATED = "Address of the new entry. A list where the entry has no address of its own."
_LOCATION = {"description": _CREATED, "schema": {"type": "string", "format": "uri-reference"}}
_ASKED = {"feature": [0.12, -0.03, 0.4, 0.01], "k": 5, "shares": True}
_EXPECTED = {"expected": "3f2a9c81d07e"}
EXAMPLES: dict[str, dict[str, Any]] = {
    "AttributionBody": _ASKED,
    "SharesBody": {"feature": _ASKED["feature"]},
    "RecordBody": {"question": _ASKED, "shared": True},
    "EventBody": {"feature": _ASKED["feature"], "weight": 1, "reference": "generation-8812"},
    "RegisterBody": {"version": "b81d6e0a94c2"},
    "AliasBody": {"index": "digits", "version": "b81d6e0a94c2"} | _EXPECTED,
    "ExpectedBody": _EXPECTED,
    "NewKeyBody": {"name": "laptop", "person": "ada", "scopes": ["query", "read"]},
    "RotateBody": {"overlap_hours": 24},
    "RunBody": {"draft": {"kind": "allocation", "policy": "royalties", "period": "2026-03"}},
    "RejectionBody": {"comment": "The pool of March is not final yet."},
    "PayoutBody": {"policy": "royalties"},
    "ConfirmationBody": {"reference": "SEPA-2026-04-0017", "value_date": "2026-04-03"},
    "RightsBody": {
        "csv": "owner,right,party,share,from,to\nAsh Estate,author,Ash Estate,600000,,\nAsh Estate,author,Press,400000,,\n"
    },
    "PartyBody": {"name": "Ash Estate", "aliases": ["Ash"]},
}
"""Examples of JSON bodies by model. They are invented: anyone may read the document."""


def describe_operations(written: Mapping[str, Any]) -> None:
    """Add the details to an OpenAPI document.

    Args:
        written: The document, with its schemas.
    """
    schemas = written["components"]["schemas"]
    for operations in written["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if "description" not in parameter and parameter["name"] in PARAMETERS:
                    parameter["description"] = PARAMETERS[parameter["name"]]
            if "201" in operation["responses"]:
                operation["responses"]["201"].setdefault("headers", {})["Location"] = _LOCATION
            _show_body(operation.get("requestBody", {}).get("content", {}).get(JSON), schemas)


def _show_body(content: dict[str, Any] | None, schemas: Mapping[str, Any]) -> None:
    if content is None:
        return
    model = content["schema"]["$ref"].rpartition("/")[2]
    own = schemas[model].get("examples", ())
    if own or model in EXAMPLES:
        content["example"] = own[0] if own else EXAMPLES[model]
