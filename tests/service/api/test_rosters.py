"""Recorded owners, training pools and fallbacks over HTTP."""

POLICY = {"currency": "EUR", "pool": 100_000}


def test_a_training_pool_over_http(api):
    training = POLICY | {"name": "royalties", "basis": "training", "fallback": "equal", "indexes": ["fake"]}
    made = api.post("/v1/policies", training, as_="root")
    assert made.json()["policy"]["basis"] == "training", made.text
    assert api.draft().status_code == 422, "no roster yet"
    roster = api.post("/v1/indexes/fake/rosters")
    assert roster.status_code == 201, roster.text
    owners = api.get("/v1/indexes/fake/owners", as_="root").json()["data"]
    assert roster.json()["owners"] == len(owners)
    assert roster.json()["rows"] == sum(each["examples"] for each in owners)
    assert api.post("/v1/indexes/fake/rosters").status_code == 409
    assert api.get("/v1/indexes/fake/rosters").json()["data"] == [roster.json()]
    assert api.post("/v1/indexes/fake/rosters", as_="ash").status_code == 403
    run = api.posted({"draft": {"kind": "allocation", "policy": "royalties", "period": "2026-03"}})
    statement = api.get(f"/v1/statements/{run}").json()
    assert statement["totals"]["payable"] == 100_000
    amounts = [line["payable"] for line in statement["lines"]]
    assert max(amounts) - min(amounts) <= 1


def test_terms_that_do_not_fit(api):
    for terms in (
        {"fallback": "equal"},
        {"fallback": "other"},
        {"basis": "training"},
        {"basis": "training", "fallback": "equal"},
        {"basis": "training", "fallback": "hold", "indexes": ["fake"]},
    ):
        refused = api.post("/v1/policies", POLICY | {"name": "p"} | terms, as_="root")
        assert refused.status_code == 422, terms
