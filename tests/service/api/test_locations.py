"""`Location` of every answer 201: a GET of it answers with the new entry, also after a repetition."""

import pytest
from starlette.responses import Response

from byline_service.http.locations import located, location

EVENTS = "/v1/indexes/fake/events"
QUERY = {"query": {"text": "hello", "label": 1}}
CREATED = {
    "create_key": "/v1/keys",
    "rotate_key": "/v1/keys",
    "revise_policy": "/v1/policies",
    "record_party": "/v1/parties",
    "place_hold": "/v1/holds",
    "book_event": EVENTS,
    "record_answer": "/v1/answers",
    "draft_run": "/v1/statement-runs",
    "prepare_payout": "/v1/payouts",
    "record_roster": "/v1/indexes/fake/rosters",
    "record_consents": "/v1/consents",
    "revise_rights": "/v1/indexes/fake/rights",
}
"""Operations that create something, and the path below which the new entry is."""


def test_every_address_answers_with_the_new_entry(api):
    found = {name: (CREATED[name], answer) for name, answer in created(api)}
    assert set(found) == set(CREATED)
    for name, (path, answer) in found.items():
        assert answer.status_code == 201, (name, answer.text)
        address = answer.headers["location"]
        assert address.startswith(path), name
        read = api.get(address, as_="root")
        assert read.status_code == 200, (name, address, read.text)
        if address != path:
            assert identity(read.json()) == identity(answer.json()), name


def identity(document):
    """Id of an entry, or name of a policy; a policy's address has all of its revisions."""
    entry = document["data"][0] if "data" in document else document
    return entry.get("id") or entry["policy"]["name"]


def created(api):
    key = api.post("/v1/keys", {"name": "a", "person": "eve", "scopes": ["read"]}, as_="root")
    yield "create_key", key
    yield "rotate_key", api.post(f"/v1/keys/{key.json()['id']}/rotate", {"overlap_hours": 1}, as_="root")
    policy = {"name": "royalties / 2026", "currency": "EUR", "pool": 100_000, "multiplier": 0}
    yield "revise_policy", api.post("/v1/policies", policy | {"name": "royalties"}, as_="root")
    yield "record_party", api.post("/v1/parties", {"name": "owner 1"}, as_="root")
    hold = {"subject": {"owner": "owner 1"}, "nature": "hold", "reason": "no contract"}
    yield "place_hold", api.post("/v1/holds", hold)
    yield "book_event", api.post(EVENTS, QUERY)
    api.keys["asker"] = api.served.key_for(scopes=["query"], person="asker")
    asked = {"question": {**QUERY, "k": 2}}
    yield "record_answer", api.post("/v1/indexes/fake/answers", asked, as_="asker")
    yield "record_roster", api.post("/v1/indexes/fake/rosters")
    table = "owner,right,party,share,from,to\nowner 1,author,owner 1,1000000,,\n"
    yield "revise_rights", api.post("/v1/indexes/fake/rights", {"csv": table}, as_="root")
    row = {"owner": "owner 1", "index": "fake", "status": "allowed", "since": "2020-03-01T00:00:00Z"}
    yield "record_consents", api.post("/v1/consents", {"consents": [row | {"source": "letter"}]})
    run = api.draft()
    yield "draft_run", run
    path = f"/v1/statement-runs/{run.json()['id']}"
    assert api.post(f"{path}/approve", as_="grace").status_code == 200
    assert api.post(f"{path}/post", as_="grace").json()["state"] == "posted"
    yield "prepare_payout", api.post("/v1/payouts", {"policy": "royalties"})


def test_a_repeated_answer_has_the_same_address(api):
    policy = {"name": "royalties", "currency": "EUR", "pool": 100_000}
    first, again = (api.post("/v1/policies", policy, as_="root", key="once") for _ in range(2))
    assert "idempotency-replayed" in again.headers
    assert first.headers["location"] == again.headers["location"] == "/v1/policies/royalties"


def test_a_refusal_has_none(api):
    refused = api.post("/v1/policies", {"name": "royalties"}, as_="root")
    assert (refused.status_code, "location" in refused.headers) == (422, False)


@pytest.mark.parametrize(
    ("collection", "entry", "path"),
    [
        ("/v1/policies", "a/b ?#é", "/v1/policies/a%2Fb%20%3F%23%C3%A9"),
        ("/v1/indexes/a b/rosters", None, "/v1/indexes/a%20b/rosters"),
    ],
)
def test_addresses_are_quoted(collection, entry, path):
    assert location(collection, entry) == path


def test_the_entry_is_found_in_the_answer():
    body = b'{"policy": {"name": "x y"}, "id": 7}'
    assert located(Response(body, 201), "/v1/a", "policy", "name").headers["location"] == "/v1/a/x%20y"
    assert located(Response(body, 201), "/v1/a", "id").headers["location"] == "/v1/a/7"
    assert "location" not in located(Response(body, 200), "/v1/a", "id").headers
