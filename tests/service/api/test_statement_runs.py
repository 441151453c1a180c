"""Compensation over HTTP: who may do what, once for each key, and what readers who own some of it see."""

EVENTS = "/v1/indexes/fake/events"
QUERY = {"query": {"text": "hello", "label": 1}}
POLICY = {"name": "royalties", "currency": "EUR", "pool": 100_000}


def test_release_reversal_and_void_over_http(api):
    api.post("/v1/policies", POLICY, as_="root")
    api.post(EVENTS, QUERY)
    run = api.posted()
    release = api.posted(
        {"draft": {"kind": "release", "policy": "royalties", "reason": "agreed with owner 2"}}
    )
    whole = api.get(f"/v1/statements/{release}").json()
    assert whole["reason"] == "agreed with owner 2"
    owner = whole["lines"][0]["owner"]
    api.keys["own"] = api.served.key_for(scopes=["read"], owners=[owner], person="own")
    for path in (
        "/v1/statements/{}",
        "/v1/statements/{}/print",
        "/v1/statements/{}.csv",
        "/compensation/runs/{}",
    ):
        own = api.get(path.format(release), as_="own")
        assert (own.status_code, "agreed" in own.text) == (200, False), "its words name another owner"
    assert api.get(f"/v1/statements/{release}").json()["totals"]["escrow"] < 0
    api.posted({"draft": {"kind": "reversal", "run": release, "reason": "a mistake"}})
    api.posted({"draft": {"kind": "reversal", "run": run, "reason": "a mistake"}})
    assert {each["amount"] for each in api.get("/v1/ledger/balances").json()["balances"]} == {0}
    draft = {"draft": {"kind": "allocation", "policy": "royalties", "since": "2020-01-01T00:00:00Z"}}
    again = api.post("/v1/statement-runs", draft).json()["id"]
    assert api.post(f"/v1/statement-runs/{again}/void").json()["state"] == "void"
    runs = api.get("/v1/statement-runs?limit=2").json()
    assert [each["state"] for each in runs["runs"]] == ["void", "posted"]
    assert len(api.get(f"/v1/statement-runs?before={runs['next']}").json()["runs"]) == 3


def test_runs_that_do_not_fit(api):
    bodies = [
        {"draft": {"kind": "allocation", "policy": "royalties", "since": "2020-01-01T00:00:00"}},
        {"draft": {"kind": "allocation", "policy": "royalties", "since": "yesterday"}},
        {"draft": {"kind": "release", "policy": "royalties", "reason": ""}},
        {"draft": {"kind": "gift"}},
    ]
    for body in bodies:
        assert api.post("/v1/statement-runs", body).status_code == 422
    missing = api.post("/v1/statement-runs", {"draft": {"kind": "allocation", "policy": "royalties"}})
    assert missing.status_code == 404
