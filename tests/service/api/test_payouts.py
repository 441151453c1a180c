"""Payouts over HTTP."""

EVENTS = "/v1/indexes/fake/events"
POLICY = {"name": "royalties", "currency": "EUR", "pool": 100_000, "multiplier": 0}
PAYEE = {"name": "Ash", "iban": "DE89370400440532013000"}


def test_a_payout_over_http(api):
    api.post("/v1/policies", POLICY, as_="root")
    api.post(EVENTS, {"query": {"text": "hello", "label": 1}})
    run = api.posted()
    lines = {each["owner"]: each for each in api.get(f"/v1/statements/{run}").json()["lines"]}
    owner = next(owner for owner, line in lines.items() if line["payable"])
    body = {"policy": "royalties", "payees": {owner: PAYEE}}
    made = api.post("/v1/payouts", body, key="first")
    assert made.status_code == 201, made.text
    payout = made.json()
    again = api.post("/v1/payouts", body, key="first")
    assert (again.json(), again.headers["idempotency-replayed"]) == (payout, "true")
    assert payout["total"] == sum(line["payable"] for line in lines.values())
    path = f"/v1/statement-runs/{payout['id']}"
    assert api.post(f"{path}/approve").status_code == 403
    assert api.post(f"{path}/approve", as_="grace").status_code == 200
    assert api.post(f"{path}/post", as_="grace").status_code == 200
    file = api.get(f"/v1/payouts/{payout['id']}.csv")
    assert file.content.startswith(b"\xef\xbb\xbfpayout,state")
    assert PAYEE["iban"] in file.text
    assert api.get(f"/v1/payouts/{payout['id']}.xml").status_code == 403
    refused = api.get(f"/v1/payouts/{payout['id']}.xml", as_="grace")
    assert (refused.status_code, "BYLINE_PAYER_IBAN" in refused.text) == (422, True)
    confirmation = {"reference": "B 1", "value_date": payout["prepared_at"][:10]}
    assert api.post(f"/v1/payouts/{payout['id']}/confirm", confirmation).status_code == 403
    paid = api.post(f"/v1/payouts/{payout['id']}/confirm", confirmation, as_="grace", key="c")
    assert (paid.status_code, paid.json()["state"]) == (200, "paid")
    twice = api.post(f"/v1/payouts/{payout['id']}/confirm", confirmation, as_="grace")
    assert twice.status_code == 409
    told = api.get("/v1/payouts?limit=1").json()
    assert [each["reference"] for each in told["data"]] == ["B 1"]
    assert told["has_more"] is False
    statement = api.get(f"/v1/statements/{payout['id']}").json()
    assert {each["owner"]: each["payable"] for each in statement["lines"]} == {
        owner: -line["payable"] for owner, line in lines.items() if line["payable"]
    }
    assert api.get(f"/compensation/runs/{payout['id']}").status_code == 200
    assert api.get(f"/v1/statements/{payout['id']}/print").status_code == 200
    assert sum(each["amount"] for each in api.get("/v1/ledger/balances").json()["data"]) == 0


def test_bodies_that_do_not_fit(api):
    api.post("/v1/policies", POLICY, as_="root")
    for body in (
        {"policy": "royalties", "amounts": {"a": 0}},
        {"policy": "royalties", "payees": {"a": {"name": "A", "iban": "de89 3704"}}},
        {"policy": "royalties", "currency": "EUR"},
    ):
        assert api.post("/v1/payouts", body).status_code == 422
    assert api.post("/v1/payouts", {"policy": "royalties"}).status_code == 409
    assert api.post("/v1/payouts", {"policy": "none"}).status_code == 404
    assert (
        api.post(
            "/v1/payouts/none/confirm", {"reference": "B", "value_date": "3 April"}, as_="grace"
        ).status_code
        == 422
    )
    assert api.get("/v1/payouts/none").status_code == 404
