"""Keys over HTTP, on both databases: made, listed, rotated, revoked; shown once; every change in the audit log."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from byline.api.accounts import Scope
from byline.errors import Conflict
from byline_service.accounts import key_management
from byline_service.accounts.audit import OPERATOR
from byline_service.accounts.keys import ApiKey
from tests.service.conftest import client_without_key
from tests.service.keys import bearer, sign_in

WANTED = {"name": "loop", "person": "ada", "scopes": ["query", "read"]}

TO_ROTATE = key_management.NewKey(name="loop", person="ada", scopes=frozenset({Scope.READ}))


@pytest.fixture
def running(serve, database):
    return serve(database_url=database.url)


def make(client, **more):
    response = client.post("/v1/keys", json=WANTED | more)
    assert response.status_code == 201, response.text
    return response.json()


def test_a_key_is_shown_once_and_works_until_it_is_revoked(running):
    client = running.client
    made = make(client)
    assert made["key"].startswith(f"byl_{made['id']}")
    assert made["active"]
    other = client_without_key(client)
    other.headers |= bearer(made["key"])
    own = other.get("/v1/caller").json()
    assert {name: own[name] for name in WANTED} == WANTED
    assert other.get("/v1/keys").status_code == 403
    text = client.get("/v1/keys").text
    assert made["id"] in text
    assert made["key"][16:] not in text
    assert client.delete(f"/v1/keys/{made['id']}").status_code == 204
    assert client.delete(f"/v1/keys/{made['id']}").status_code == 204
    assert other.get("/v1/caller").status_code == 401
    lines = client.get("/v1/audit").json()["data"]
    assert [(line["action"], line["subject"]) for line in lines[:2]] == [
        ("keys.revoke", made["id"]),
        ("keys.create", made["id"]),
    ]
    assert {line["person"] for line in lines[:2]} == {"tester"}
    assert made["key"] not in client.get("/v1/audit").text


def test_two_keys_are_valid_while_one_is_rotated_and_no_third(running):
    client = running.client
    old = make(client)
    new = client.post(f"/v1/keys/{old['id']}/rotate", json={"overlap_hours": 1}).json()
    assert new["replaces"] == old["id"]
    assert {name: new[name] for name in WANTED} == WANTED
    for key in (old, new):
        assert client_without_key(client).get("/v1/caller", headers=bearer(key["key"])).status_code == 200
    again = client.post(f"/v1/keys/{new['id']}/rotate", json={})
    assert again.status_code == 409
    assert old["id"] in again.json()["detail"]
    twice = client.post(f"/v1/keys/{old['id']}/rotate", json={})
    assert twice.status_code == 409
    assert new["id"] in twice.json()["detail"]
    client.delete(f"/v1/keys/{old['id']}")
    assert client.post(f"/v1/keys/{old['id']}/rotate", json={}).status_code == 409
    third = client.post(f"/v1/keys/{new['id']}/rotate", json={"overlap_hours": 0})
    assert third.status_code == 201
    assert client_without_key(client).get("/v1/caller", headers=bearer(new["key"])).status_code == 401


def test_what_replaces_a_key_that_ends_lives_as_long(running):
    end = datetime.now(UTC) + timedelta(days=30)
    old = make(running.client, expires_at=end.isoformat())
    new = running.client.post(f"/v1/keys/{old['id']}/rotate", json={"overlap_hours": 1}).json()
    lives = datetime.fromisoformat(new["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < lives <= timedelta(days=30)


def test_of_two_rotations_at_once_one_is_made(database):
    made = database.booked(key_management.create, OPERATOR, TO_ROTATE, b"s" * 32)

    async def rotate(used):
        async with used.begin() as transaction:
            return await key_management.rotate(transaction, OPERATOR, made.id, b"s" * 32, timedelta(hours=1))

    async def both(used):
        return await asyncio.gather(*(rotate(used) for _ in range(3)), return_exceptions=True)

    assert Counter(type(each) for each in database.run(both)) == {ApiKey: 1, Conflict: 2}


def test_a_key_expires_by_itself(running):
    end = datetime.now(UTC) + timedelta(seconds=0.5)
    made = make(running.client, expires_at=end.isoformat())
    other = client_without_key(running.client)
    assert other.get("/v1/caller", headers=bearer(made["key"])).status_code == 200
    while datetime.now(UTC) < end:
        pass
    response = other.get("/v1/caller", headers=bearer(made["key"]))
    assert response.status_code == 401
    assert "expired" in response.json()["detail"]


def test_keys_and_audit_are_paged(running):
    made = {make(running.client)["id"] for _ in range(5)}
    found, after = [], None
    while True:
        page = running.client.get(
            "/v1/keys", params={"limit": 2} | ({"after": after} if after else {})
        ).json()
        found += [key["id"] for key in page["data"]]
        if (after := page["next"]) is None:
            break
    assert found == sorted(found)
    assert made <= set(found)
    seen, after = [], None
    while True:
        page = running.client.get(
            "/v1/audit", params={"limit": 2} | ({"after": after} if after else {})
        ).json()
        seen += [line["id"] for line in page["data"]]
        if (after := page["next"]) is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(seen) >= 5


@pytest.mark.parametrize(
    "body",
    [
        {"scopes": []},
        {"scopes": ["root"]},
        {"person": " "},
        {"name": "a\u0000b"},
        {"name": "x" * 101},
        {"owners": []},
        {"owners": ["a"]},
        {"scopes": ["read"], "owners": ["a"] * 1001},
        {"queries_per_minute": 0},
        {"requests_per_minute": 1 << 31},
        {"expires_at": "2030-01-01T00:00:00"},
        {"id": "k" * 12},
    ],
)
def test_keys_that_make_no_sense(served, body):
    assert served.client.post("/v1/keys", json=WANTED | body).status_code == 422


def test_an_owner_of_any_name(running):
    names = ["😀", "'; DROP TABLE keys;--", "x" * 1000]
    for name in names:
        assert running.client.post("/v1/parties", json={"name": name}).status_code == 201
    refused = {"scopes": ["read"], "owners": ["a\u0000b"]}
    assert running.client.post("/v1/keys", json=WANTED | refused).status_code == 422
    made = make(running.client, scopes=["read"], owners=names)
    assert made["owners"] == sorted(names)


def test_no_key_is_in_the_log(running, caplog, capsys):
    with caplog.at_level("DEBUG"):
        made = make(running.client)
        other = client_without_key(running.client)
        other.get("/v1/caller", headers=bearer(made["key"]))
        sign_in(other, made["key"])
    written = caplog.text + "".join(capsys.readouterr())
    assert made["id"] in written
    assert made["key"][16:48] not in written
