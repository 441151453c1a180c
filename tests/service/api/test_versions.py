"""Versions and aliases over HTTP."""

import time

import pytest
from starlette.testclient import TestClient

from byline_service.accounts.audit import OPERATOR
from byline_service.app import create_app
from byline_service.versions import transactions
from tests.service.fakes import fake_attributor
from tests.service.keys import admin_key, bearer, make_key, prepared
from tests.service.versions.building import directory, flip

ALIAS, VERSIONS = "/v1/aliases/tiny", "/v1/indexes/tiny/versions"
FEATURE = {"feature": [0.5, -1.0] * 8, "k": 3}


def body(version, expected, index="tiny"):
    return {"index": index, "version": version, "expected": expected}


@pytest.fixture
def client(index, tmp_path):
    """An application that serves the first version, and follows.

    Yields:
        Its client, with an admin key.
    """
    lies_in = directory(index.folder, with_task=False)
    app = create_app(
        prepared(tmp_path / "data", versions_poll_seconds=0.05),
        {"tiny": lies_in.open(index.a)},
        {"tiny": lies_in},
    )
    headers = bearer(admin_key())
    with TestClient(
        app, base_url="http://localhost", raise_server_exceptions=False, headers=headers
    ) as started:
        until(lambda: started.get(ALIAS).status_code == 200)
        yield started


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def verified(client, version):
    registered = client.post(VERSIONS, json={"version": version})
    assert registered.status_code == 200, registered.text
    begun = client.post(f"{VERSIONS}/{version}/verify")
    assert (begun.status_code, begun.headers["location"]) == (202, f"{VERSIONS}/{version}")
    until(lambda: client.get(begun.headers["location"]).json()["verifying"] is None)
    return client.get(begun.headers["location"]).json()


def test_from_registered_to_served_and_back(client, index):
    assert client.get("/v1/indexes/tiny").json()["version"] == index.a
    found = verified(client, index.b)
    assert (found["state"], found["reason"], found["aliases"]) == ("verified", None, [])
    switched = client.put(ALIAS, json=body(index.b, index.a))
    assert switched.status_code == 200, switched.text
    assert switched.json() | {"version": index.b, "served": index.b, "previous": index.a} == switched.json()
    assert client.get("/v1/indexes/tiny").json()["version"] == index.b
    refused = client.post(f"{VERSIONS}/{index.b}/retire")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:byline:problem:conflict")
    back = client.post(
        f"{ALIAS}/rollback", json={"expected": None}, headers={"if-match": switched.headers["etag"]}
    )
    assert back.json()["version"] == client.get("/v1/indexes/tiny").json()["version"] == index.a
    assert client.post(f"{VERSIONS}/{index.b}/retire").json()["state"] == "retired"
    history = client.get(f"{ALIAS}/history").json()["data"]
    assert [change["action"] for change in history] == ["rollback", "switch", "create"]
    assert [change["person"] for change in history] == ["tester", "tester", "service"]
    metrics = client.get("/metrics").text
    assert 'byline_alias_switches_total{alias="tiny"} 2.0' in metrics
    assert "byline_versions_loaded 1.0" in metrics


def test_a_lost_race_says_so(client, index):
    verified(client, index.b)
    tag = client.get(ALIAS).headers["etag"]
    assert client.put(ALIAS, json=body(index.b, index.b)).status_code == 409
    stale = {"if-match": '"999"'}
    without = {"index": "tiny", "version": index.b, "expected": None}
    assert client.put(ALIAS, json=without, headers=stale).status_code == 412
    assert client.put(ALIAS, json=body(index.b, index.a), headers=stale).status_code == 412
    assert client.get(ALIAS).headers["etag"] == tag
    assert client.put(ALIAS, json=without, headers={"if-match": tag}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ({}, {"index": "tiny", "version": "b"}),
        ({"if-match": 'W/"1"'}, body("b", "a")),
        ({"if-match": "*"}, body("b", "a")),
        ({}, body("../b", "a")),
        ({}, body("b", "A")),
        ({}, body("b", 1)),
        ({}, body("b", "a") | {"more": 1}),
    ],
)
def test_what_does_not_fit_is_refused(client, headers, sent):
    response = client.put(ALIAS, json=sent, headers=headers)
    assert response.status_code == 422, response.text
    assert "../b" not in response.text


@pytest.mark.parametrize(
    "path", ["/v1/aliases/UP", f"{VERSIONS}/..%2fa", f"{VERSIONS}?after=%00", f"{ALIAS}%00"]
)
def test_names_are_never_paths(client, path):
    assert client.get(path).status_code in {404, 422}


def test_what_is_not_there(client):
    for path in ("/v1/indexes/other/versions", f"{VERSIONS}/nothing", "/v1/aliases/nothing"):
        assert client.get(path).status_code == 404
    assert client.post(VERSIONS, json={"version": "nothing"}).status_code == 404
    assert client.post(f"{VERSIONS}/nothing/verify").status_code == 404
    assert client.post(f"{VERSIONS}/nothing/retire").status_code == 404
    assert client.put(ALIAS, json=body("nothing", "x")).status_code in {404, 409}
    assert client.put("/v1/aliases/new", json=body("a", None, "other")).status_code == 404


def test_a_damaged_version_is_told_and_can_be_repaired(client, index):
    path = index.path / index.b / "columns" / "self_influence.npy"
    flip(path)
    found = verified(client, index.b)
    assert found["state"] == "damaged"
    assert found["reason"] == "columns/self_influence.npy: its SHA-256 differs from the manifest's"
    refused = client.put(ALIAS, json=body(index.b, index.a))
    assert (refused.status_code, client.get(ALIAS).json()["version"]) == (409, index.a)
    assert 'byline_unusable_total{index="tiny",state="damaged"} 1.0' in client.get("/metrics").text
    flip(path)
    assert verified(client, index.b)["state"] == "verified"
    assert client.put(ALIAS, json=body(index.b, index.a)).status_code == 200


def test_another_alias_serves_another_version_of_the_index(client, index):
    verified(client, index.b)
    assert client.put("/v1/aliases/staging", json=body(index.b, None)).status_code == 200
    listed = client.get("/v1/indexes").json()["data"]
    assert [(each["name"], each["index"], each["version"]) for each in listed] == [
        ("staging", "tiny", index.b),
        ("tiny", "tiny", index.a),
    ]
    pages = [client.get("/v1/aliases?limit=1").json()]
    pages.append(client.get(f"/v1/aliases?limit=1&after={pages[0]['next']}").json())
    assert [each["alias"] for page in pages for each in page["data"]] == ["staging", "tiny"]
    assert pages[1]["next"] is None
    versions = client.get("/v1/indexes/staging/versions").json()["data"]
    assert {each["version"]: each["aliases"] for each in versions} == {
        index.a: ["tiny"],
        index.b: ["staging"],
    }
    feature = [0.5, -1.0] * (client.get("/v1/indexes/staging").json()["width"] // 2)
    answer = client.post("/v1/indexes/staging/attributions", json={"feature": feature, "k": 1}).json()
    assert (answer["index"], answer["version"]) == ("tiny", index.b)
    assert client.delete("/v1/aliases/staging").status_code == 422
    assert client.delete(f"/v1/aliases/staging?expected={index.b}").status_code == 204
    assert client.get("/v1/indexes/staging").status_code == 404
    assert client.delete(f"/v1/aliases/tiny?expected={index.a}").status_code == 409


def test_no_alias_takes_the_name_of_an_index_that_is_served_by_itself(index, tmp_path):
    lies_in, fixed = directory(index.folder, with_task=False), fake_attributor()[0]
    settings = prepared(tmp_path / "data", versions_poll_seconds=0.05)
    app = create_app(settings, {"tiny": lies_in.open(index.a), "fixed": fixed}, {"tiny": lies_in})
    with TestClient(app, base_url="http://localhost", headers=bearer(admin_key())) as client:
        until(lambda: client.get(ALIAS).status_code == 200)
        taken = client.put("/v1/aliases/fixed", json=body(index.a, None))
        assert (taken.status_code, app.state.service.attributors["fixed"]) == (422, fixed)
        elsewhere = transactions.switch(
            app.state.service.database, OPERATOR, "fixed", lies_in.facts(index.a), transactions.Expected()
        )
        client.portal.call(lambda: elsewhere)
        until(lambda: "fixed" in client.get("/readyz").json().get("behind", []))
        assert app.state.service.attributors["fixed"] is fixed


def test_readers_read_and_only_admins_change(client, index):
    database = client.app.state.service.database
    key = client.portal.call(lambda: make_key(database, scopes=["read", "query"]))
    for path in (VERSIONS, f"{VERSIONS}/{index.a}", "/v1/aliases", ALIAS, f"{ALIAS}/history"):
        assert client.get(path, headers=bearer(key)).status_code == 200
    for method, path in (
        ("POST", VERSIONS),
        ("POST", f"{VERSIONS}/{index.a}/verify"),
        ("POST", f"{VERSIONS}/{index.a}/retire"),
        ("PUT", ALIAS),
        ("POST", f"{ALIAS}/rollback"),
        ("DELETE", ALIAS),
    ):
        assert client.request(method, path, json={}, headers=bearer(key)).status_code == 403


def test_readiness_names_what_it_is_behind_with(client, index):
    verified(client, index.b)
    until(lambda: client.get("/readyz").status_code == 200)
    assert client.get("/readyz").json() == {"status": "ready"}
    flip(index.path / index.b / "search.faiss")

    async def elsewhere():
        from byline_service.versions import transactions
        from byline_service.versions.records import VersionFacts
        from byline_service.versions.switcher import THIS_PROCESS
        from byline_service.versions.transactions import Expected

        to = VersionFacts(index="tiny", version=index.b)
        await transactions.switch(
            client.app.state.service.database, THIS_PROCESS, "tiny", to, Expected(version=index.a)
        )

    client.portal.call(elsewhere)
    until(lambda: client.get("/readyz").json().get("behind") == ["tiny"])
    assert client.get("/readyz").status_code == 200
    assert client.get(ALIAS).json() | {"version": index.b, "served": index.a} == client.get(ALIAS).json()
    assert client.get(f"{VERSIONS}/{index.b}").json()["state"] == "damaged"


def test_an_index_that_lies_in_no_directory_has_no_versions(served):
    assert served.client.get("/v1/indexes/fake/versions").json() == {
        "data": [],
        "next": None,
        "has_more": False,
    }
    assert served.client.post("/v1/indexes/fake/versions", json={"version": "a"}).status_code == 404


def test_the_schema_of_every_body_is_in_the_reference(served):
    schemas = served.client.get("/openapi.json").json()["components"]["schemas"]
    assert {"RegisterBody", "AliasBody", "ExpectedBody", "VersionInfo", "AliasInfo"} <= set(schemas)
