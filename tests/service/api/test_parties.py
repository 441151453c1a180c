"""Parties over HTTP: what each key sees of them, and owners of keys, which must be known."""

import pytest

from tests.service.keys import bearer

IBAN = "DE89370400440532013000"
PARTY = {
    "name": "owner 1",
    "aliases": ["Owner One "],
    "identifiers": {"orcid": "0000-0002-1825-0097"},
    "details": {"payee": "One Ltd", "contact": "one@example.org", "iban": IBAN},
}


@pytest.fixture
def keys(served):
    return {
        "admin": {},
        "read": bearer(served.key_for(scopes=["read"])),
        "own": bearer(served.key_for(scopes=["read"], owners=["owner 1"])),
        "other": bearer(served.key_for(scopes=["read"], owners=["owner 2"])),
    }


def test_each_key_sees_its_part(served, keys):
    made = served.client.post("/v1/parties", json=PARTY)
    assert made.status_code == 201, made.text
    party = made.json()
    assert (party["aliases"], party["identifiers"]["orcid"]) == (["Owner One"], "0000000218250097")
    assert party["details"]["iban"] == IBAN
    seen = {}
    for name, headers in keys.items():
        answer = served.client.get(f"/v1/parties/{party['id']}", headers=headers)
        listed = served.client.get("/v1/parties", headers=headers).json()["data"]
        assert listed == ([answer.json()] if answer.is_success else [])
        seen[name] = (answer.json() or {}).get("details")
        if name != "admin":
            assert IBAN not in answer.text
    assert seen["admin"] == PARTY["details"]
    hidden = "DE" + "•" * 16 + "3000"
    assert seen["read"] == {"payee": "One Ltd", "contact": None, "iban": hidden}
    assert seen["own"] == {"payee": "One Ltd", "contact": "one@example.org", "iban": hidden}
    assert seen["other"] is None


def test_a_label_is_taken_once_and_details_are_erased(served):
    party = served.client.post("/v1/parties", json=PARTY).json()
    again = served.client.post("/v1/parties", json=PARTY | {"name": "Owner\u00a0One", "aliases": []})
    assert again.status_code == 409
    wrong = served.client.post("/v1/parties", json=PARTY | {"name": "owner\u202e2"})
    assert wrong.status_code == 422
    assert served.client.delete(f"/v1/parties/{party['id']}/details").status_code == 204
    assert served.client.get(f"/v1/parties/{party['id']}").json()["details"] is None


def test_the_owner_of_a_key_is_known(served):
    def asked(*owners):
        body = {"name": "x", "person": "ada", "scopes": ["read"], "owners": list(owners)}
        return served.client.post("/v1/keys", json=body)

    refused = asked("owner 1", "Onwer 1")
    assert refused.status_code == 422
    assert "got 1 others" in refused.text
    assert asked(" owner  1").json()["owners"] == ["owner 1"]
    served.client.post("/v1/parties", json={"name": "Onwer 1"})
    assert asked("Onwer 1").status_code == 201
