"""Holds over HTTP, and what the readers of a run see of them."""

EVENTS = "/v1/indexes/fake/events"
QUERY = {"query": {"text": "hello", "label": 1}}
POLICY = {"name": "royalties", "currency": "EUR", "pool": 100_000}
HOLD = {"subject": {"owner": "owner 1"}, "nature": "dispute", "reason": "two estates"}


def test_a_hold_over_http(api):
    api.post("/v1/policies", POLICY | {"multiplier": 0}, as_="root")
    event = api.post(EVENTS, QUERY).json()["id"]
    owner = max(api.get(f"{EVENTS}/{event}").json()["shares"], key=lambda each: each["share"])["owner"]
    api.keys["own"] = api.served.key_for(scopes=["read"], owners=[owner], person="own")
    placed = api.post("/v1/holds", HOLD | {"subject": {"owner": owner}})
    assert placed.status_code == 201, placed.text
    hold = placed.json()
    assert (hold["subject"]["owner"], hold["nature"], hold["ended"]) == (owner, "dispute", None)
    run = api.posted()
    statement = api.get(f"/v1/statements/{run}").json()
    (line,) = (each for each in statement["lines"] if each["owner"] == owner)
    assert (line["payable"], line["held"]) == (0, line["earned"])
    assert statement["totals"]["held"] == line["earned"] > 0
    assert [each["id"] for each in statement["restrictions"]] == [hold["id"]]
    assert statement["warnings"][0]["kind"] == "held"
    own = api.get(f"/v1/statements/{run}", as_="own").json()
    assert (own["restrictions"], own["lines"][0]["held"]) == ([], line["held"])
    assert "estates" not in str(own), "the reason may name other owners"
    release = {"kind": "release", "account": "held", "policy": "royalties", "reason": "settled"}
    assert api.post("/v1/statement-runs", {"draft": release}).status_code == 409
    ended = api.post(f"/v1/holds/{hold['id']}/end", {"reason": "settled"}, as_="grace").json()
    assert (ended["ended"]["person"], ended["ended"]["reason"]) == ("grace", "settled")
    api.posted({"draft": release})
    balances = api.get("/v1/ledger/balances", as_="own").json()["data"]
    assert {each["account"]: each["amount"] for each in balances}["held"] == 0


def test_who_may_and_what_is_refused(api):
    assert api.post("/v1/holds", HOLD, as_="ash").status_code == 403
    assert api.get("/v1/holds", as_="ash").status_code == 403
    first = api.post("/v1/holds", HOLD, key="once").json()
    assert api.post("/v1/holds", HOLD, key="once").json()["id"] == first["id"]
    assert api.post(f"/v1/holds/{first['id']}/end", {"reason": "mine"}).status_code == 403
    assert api.post(f"/v1/holds/{first['id']}/end", {}, as_="grace").status_code == 422
    assert api.post(f"/v1/holds/{'0' * 32}/end", {"reason": "why"}, as_="grace").status_code == 404
    work_alone = {"subject": {"owner": "owner 1", "work": "17"}, "reason": "why"}
    assert api.post("/v1/holds", work_alone).status_code == 422
    second = api.post("/v1/holds", HOLD | {"nature": "hold"}).json()
    page = api.get("/v1/holds?limit=1").json()
    assert [each["id"] for each in page["data"]] == [second["id"]]
    rest = api.get(f"/v1/holds?after={page['next']}").json()
    assert [each["id"] for each in rest["data"]] == [first["id"]]
    api.post(f"/v1/holds/{second['id']}/end", {"reason": "why"}, as_="grace")
    assert [each["id"] for each in api.get("/v1/holds?state=in_force").json()["data"]] == [first["id"]]
    assert api.get(f"/v1/holds/{second['id']}").json()["ended"]["reason"] == "why"


def test_a_misspelled_owner_is_told(api):
    """A hold or a takedown of a label that nobody has would hold nothing, and nobody would know."""
    row = {"index": "fake", "status": "prohibited", "since": "2020-03-01T00:00:00Z", "source": "letter"}
    for wrong in ("owner  l", "0wner 1", "Owner 1"):
        subject = HOLD | {"subject": {"owner": wrong}}
        assert api.post("/v1/holds", subject).status_code == 422, wrong
        consents = [row | {"owner": "owner 1"}, row | {"owner": wrong}]
        assert api.post("/v1/consents", {"consents": consents}).status_code == 422, wrong
    assert api.get("/v1/holds").json()["data"] == api.get("/v1/consents").json()["data"] == []
    spaced = api.post("/v1/holds", HOLD | {"subject": {"owner": " owner\u00a0 1"}})
    assert (spaced.status_code, spaced.json()["subject"]["owner"]) == (201, "owner 1")
