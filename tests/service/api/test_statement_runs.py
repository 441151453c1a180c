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
    assert {each["amount"] for each in api.get("/v1/ledger/balances").json()["data"]} == {0}
    again = api.draft(period="2026-03").json()["id"]
    assert api.post(f"/v1/statement-runs/{again}/void").json()["state"] == "void"
    runs = api.get("/v1/statement-runs?limit=2").json()
    assert [each["state"] for each in runs["data"]] == ["void", "posted"]
    assert len(api.get(f"/v1/statement-runs?after={runs['next']}").json()["data"]) == 3


def test_runs_that_do_not_fit(api):
    bodies = [
        {"draft": {"kind": "allocation", "policy": "royalties", "since": "2020-01-01T00:00:00Z"}},
        {"draft": {"kind": "allocation", "policy": "royalties", "period": 2026}},
        {"draft": {"kind": "adjustment", "policy": "royalties"}},
        {"draft": {"kind": "release", "policy": "royalties", "reason": ""}},
        {"draft": {"kind": "gift"}},
    ]
    for body in bodies:
        assert api.post("/v1/statement-runs", body).status_code == 422
    missing = api.post("/v1/statement-runs", {"draft": {"kind": "allocation", "policy": "royalties"}})
    assert missing.status_code == 404


def test_who_drafts_and_who_approves_read_every_warning(api):
    api.post("/v1/policies", POLICY | {"spread": "event", "pool": 5_000, "budget": 12_000}, as_="root")
    for text, weight in (("one", 1), ("two", 1), ("three", 1), ("heavy", 101)):
        api.post(EVENTS, {"query": {"text": text, "label": 1}, "weight": weight})
    drafted = api.draft().json()
    texts = [each["text"] for each in drafted["warnings"]]
    assert texts == [
        "Events of the period that are not paid for: 1. See their reasons.",
        "The events cost 30.00 EUR more than the budget allows. They are paid in proportion.",
    ]
    assert (drafted["kind"], drafted["period"]) == ("allocation", "2026-03")
    path = f"/v1/statement-runs/{drafted['id']}"
    for seen in (path, f"/v1/statements/{drafted['id']}"):
        assert api.get(seen, as_="grace").json()["warnings"] == drafted["warnings"]
    page = api.get(f"/compensation/runs/{drafted['id']}", as_="grace").text
    assert "March 2026" in page
    for text in (*texts, "weighs more than the policy"):
        assert text.replace("'", "&#39;") in page
    api.post(f"{path}/approve", as_="grace")
    api.post(f"{path}/post", as_="grace")
    paid = api.draft(period="2026-03")
    assert (paid.status_code, "this one is paid" in paid.json()["detail"]) == (409, True)
    for path in (f"/v1/statements/{drafted['id']}", "/v1/statements"):
        text = api.get(path, as_="ash").text
        assert '"warnings":[]' in text, "an owner sees nothing of the others"


def test_a_run_without_a_period_is_of_the_last_one_that_ended(api):
    api.post("/v1/policies", POLICY | {"period": "day"}, as_="root")
    api.post(EVENTS, QUERY)
    body = {"draft": {"kind": "allocation", "policy": "royalties"}}
    empty = api.post("/v1/statement-runs", body)
    assert (empty.status_code, "2026-03-09" in empty.json()["detail"]) == (422, True)
    api.clock.to(2026, 3, 11)
    assert api.post("/v1/statement-runs", body).json()["period"] == "2026-03-10"


def test_a_late_event_goes_into_an_adjustment(api):
    terms = POLICY | {"spread": "event", "pool": 5, "budget": 12}
    api.post("/v1/policies", terms, as_="root")
    for weight in (1, 101):
        api.post(EVENTS, QUERY | {"weight": weight})
    api.posted()
    api.post("/v1/policies", terms | {"largest_weight": 200}, as_="root")
    adjusted = api.draft(kind="adjustment", period="2026-03").json()
    assert (adjusted["kind"], adjusted["period"]) == ("adjustment", "2026-03")
    assert api.get(f"/v1/statements/{adjusted['id']}").json()["totals"]["pool"] == 7
