"""Every list of the API, as the OpenAPI document names them: one envelope, one cursor, one pair of parameters."""

from urllib.parse import urlencode

import pytest

from tests.service.api.test_openapi import operations

SINGLE = {"get_caller", "get_coverage", "get_rights", "preview_run", "verify_ledger"}
"""Operations without an id in their path that return one document."""
PARAMETERS = {
    "after": {"anyOf": [{"type": "string", "maxLength": 8000}, {"type": "null"}]},
    "limit": {"type": "integer", "maximum": 1000, "minimum": 1, "default": 100},
}
NAMES = {"name": "fake", "policy": "royalties", "alias": "fake", "owner": "owner 1", "run": "r" * 32}


def needed(operation):
    """The query parameters that a list cannot do without."""
    given = operation.get("parameters", [])
    return {each["name"]: NAMES[each["name"]] for each in given if each["in"] == "query" and each["required"]}


def resolved(document, schema):
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def answer(document, operation):
    media = operation["responses"].get("200", {}).get("content", {}).get("application/json")
    return None if media is None else resolved(document, media["schema"])


def lists(document):
    """Find lists by several marks, so that a list of another form shows up as one."""
    found = {}
    for name, (method, path, operation) in operations(document).items():
        if method != "get" or not path.startswith("/v1") or (schema := answer(document, operation)) is None:
            continue
        taken = {each["name"] for each in operation.get("parameters", [])}
        collection = not path.endswith("}") and name not in SINGLE
        marks = {"limit", "offset", "after", "before", "cursor", "page"} & taken
        if collection or marks or name.startswith("list_"):
            found[name] = (path, operation, schema)
    return found


def test_every_list_has_the_envelope_and_the_parameters(served):
    document = served.app.openapi()
    found = lists(document)
    assert {"list_keys", "list_balances", "list_indexes", "list_signing_keys", "get_policy"} <= set(found)
    for name, (_, operation, schema) in found.items():
        assert schema["type"] == "object", name
        assert {"data", "next", "has_more"} <= set(schema["required"]), name
        properties = schema["properties"]
        assert properties["data"]["type"] == "array", name
        assert properties["next"]["anyOf"] == [{"type": "string"}, {"type": "null"}], name
        assert properties["has_more"]["type"] == "boolean", name
        arrays = {field for field, each in properties.items() if each.get("type") == "array"}
        assert arrays == {"data"}, name
        taken = {each["name"]: each for each in operation["parameters"]}
        assert not {"before", "offset", "cursor", "page", "page_size"} & set(taken), name
        for parameter, wanted in PARAMETERS.items():
            assert taken[parameter]["schema"].items() >= wanted.items(), (name, parameter)
            assert taken[parameter]["description"], (name, parameter)


@pytest.fixture
def full(api):
    """Fill the ledger, so that lists have entries."""
    body = {
        "name": "royalties", "currency": "EUR", "pool": 100_000, "allow_within_checkpoint": True,
    }  # fmt: skip
    for pool in (100_000, 90_000):
        assert api.post("/v1/policies", body | {"pool": pool}, as_="root").status_code == 201
    for number in range(3):
        event = {"query": {"text": f"generation {number}"}}
        assert api.post("/v1/indexes/fake/events", event).status_code == 201
    run = api.posted()
    owner = api.get(f"/v1/statements/{run}").json()["lines"][0]["owner"]
    return api, NAMES | {"run": run, "owner": owner}


def test_pages_of_one_entry_add_up_to_the_whole_list(full):
    (api, names), lengths = full, {}
    served = api.served
    for name, (path, operation, _) in lists(served.app.openapi()).items():
        address, more = path.format(**names), needed(operation) | {"limit": 1}
        whole = served.client.get(address, params=more | {"limit": 1000}).json()
        assert (whole["next"], whole["has_more"]) == (None, False), name
        found, after = [], None
        for _ in range(min(len(whole["data"]), 5)):
            page = served.client.get(address, params=more | ({"after": after} if after else {})).json()
            assert len(page["data"]) == 1, name
            assert page["has_more"] == (page["next"] is not None), name
            found, after = [*found, *page["data"]], page["next"]
        lengths[name] = len(whole["data"])
        if name not in {"list_usage", "list_keys"}:  # these requests count themselves
            assert found == whole["data"][: len(found)], name
        if len(found) == len(whole["data"]) > 0:
            assert after is None, name
    several = {name for name, length in lengths.items() if length > 1}
    assert several >= {
        "list_keys", "list_persons", "list_audit", "list_events", "list_examples", "list_owners",
        "list_self_influence", "list_ledger", "list_balances", "get_policy",
    }  # fmt: skip


def test_a_cursor_of_no_list_is_refused(served):
    refused = ("x", "%00", "e30", "W10", "WyJcdTAwMDAiXQ", "Wy0xXQ", "WzFlOTld", "bnVsbA", "%F0%9F")
    for name, (path, operation, _) in lists(served.app.openapi()).items():
        if name == "get_policy":
            continue
        more = urlencode(needed(operation))
        for cursor in refused:
            response = served.client.get(f"{path.format(**NAMES)}?{more}&after={cursor}")
            assert response.status_code == 422, (name, cursor)
