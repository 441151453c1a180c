"""Keys that see some owners only: their rows, and nothing that tells of others'."""

import pytest

from tests.service.conftest import client_without_key
from tests.service.keys import bearer


@pytest.fixture
def narrow(served):
    client = client_without_key(served.client)
    client.headers |= bearer(served.key_for(scopes=["read"], owners=["owner 1", "unknown"]))
    return client


def paged(client, path, limit):
    found, after = [], None
    while True:
        page = client.get(path, params={"limit": limit} | ({"after": after} if after else {})).json()
        found += page["data"]
        after = page["next"]
        if after is None:
            return found


@pytest.mark.parametrize("limit", [7, 67, 1000])
def test_examples(narrow, limit):
    found = paged(narrow, "/v1/indexes/fake/examples", limit)
    assert [each["row"] for each in found] == list(range(1, 200, 3))
    assert {each["example"]["owner"] for each in found} == {"owner 1"}


def test_one_example(narrow):
    assert narrow.get("/v1/indexes/fake/examples/docs/1/part.py%231").status_code == 200
    assert narrow.get("/v1/indexes/fake/examples/docs/0/part.py%230").status_code == 403


def test_owners(narrow):
    assert [each["owner"] for each in paged(narrow, "/v1/indexes/fake/owners", 1)] == ["owner 1"]


@pytest.mark.parametrize("limit", [10, 1000])
def test_self_influence(narrow, served, limit):
    found = paged(narrow, "/v1/indexes/fake/self-influence", limit)
    everybody = paged(served.client, "/v1/indexes/fake/self-influence", 1000)
    assert found == [each for each in everybody if each["example"]["owner"] == "owner 1"]


def test_a_cursor_of_another_caller_is_refused(narrow, served):
    first = served.client.get("/v1/indexes/fake/self-influence?limit=1").json()
    others = served.client.get("/v1/indexes/fake/self-influence?limit=200").json()["data"]
    refused = [each for each in others if each["example"]["owner"] != "owner 1"]
    assert refused
    response = narrow.get("/v1/indexes/fake/self-influence", params={"after": first["next"]})
    assert response.status_code == (200 if others[0]["example"]["owner"] == "owner 1" else 422)


def test_what_cannot_be_narrowed_is_refused(narrow):
    assert narrow.get("/v1/indexes/fake/coverage").status_code == 403
    assert narrow.get("/indexes/fake").status_code == 403
    response = narrow.post("/v1/indexes/fake/attributions", json={"query": {"text": "x"}})
    assert response.status_code == 403
    assert narrow.get("/v1/indexes").status_code == 200
