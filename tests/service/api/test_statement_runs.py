"""Compensation over HTTP: who may do what, once for each key, and what readers who own some of it see."""

import csv
import io
from fractions import Fraction

import pytest

from tests.service.fakes import fake_attributor
from tests.service.keys import bearer

EVENTS = "/v1/indexes/fake/events"
QUERY = {"query": {"text": "hello", "label": 1}}
POLICY = {"name": "royalties", "currency": "EUR", "pool": 100_000}


class Api:
    """A client for each role, and a new idempotency key with each request."""

    def __init__(self, served):
        self.served, self._number = served, 0
        scopes = {"ada": ["read", "compensate"], "grace": ["read", "approve"], "root": ["admin"]}
        self.keys = {person: served.key_for(scopes=each, person=person) for person, each in scopes.items()}
        self.keys["ash"] = served.key_for(scopes=["read"], owners=["owner 1"], person="ash")

    def post(self, path, body=None, *, as_="ada", key=None, **more):
        self._number += 1
        headers = bearer(self.keys[as_]) | {"idempotency-key": key or f"request-{self._number}"}
        return self.served.client.post(path, json=body, headers=headers, **more)

    def get(self, path, *, as_="ada", **more):
        return self.served.client.get(path, headers=bearer(self.keys[as_]), **more)

    def posted(self, body=None):
        run = self.post(
            "/v1/statement-runs", body or {"draft": {"kind": "allocation", "policy": "royalties"}}
        )
        assert run.status_code == 201, run.text
        path = f"/v1/statement-runs/{run.json()['id']}"
        assert self.post(f"{path}/approve", as_="grace").status_code == 200
        assert self.post(f"{path}/post", as_="grace").json()["state"] == "posted"
        return run.json()["id"]


@pytest.fixture
def api(serve):
    attributor, _ = fake_attributor(members=3, checkpoints=3)
    return Api(serve({"fake": attributor}))


def test_an_event_is_booked_once_for_each_key(api):
    first = api.post(EVENTS, QUERY | {"weight": 3, "reference": "generation 7"}, key="one")
    assert first.status_code == 201
    again = api.post(EVENTS, QUERY | {"weight": 3, "reference": "generation 7"}, key="one")
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    other = api.post(EVENTS, QUERY, key="one")
    assert (other.status_code, other.json()["type"]) == (422, "urn:byline:problem:idempotency-mismatch")
    api.post(EVENTS, QUERY, key="two")
    listed = api.get(EVENTS).json()["events"]
    assert [each["weight"] for each in listed] == [1, 3]
    assert listed[1] == first.json()
    assert first.json()["reference"] == "generation 7"
    assert 'byline_events_total{index="fake"} 2.0' in api.get("/metrics").text
    page = api.get(f"{EVENTS}?limit=1").json()
    assert api.get(f"{EVENTS}?limit=1&before={page['next']}").json()["events"] == listed[1:]


def test_an_events_shares_are_those_of_the_answer(api):
    booked = api.post(EVENTS, QUERY).json()
    shares = api.served.client.post("/v1/indexes/fake/shares", json=QUERY).json()["shares"]["owners"]
    details = api.get(f"{EVENTS}/{booked['id']}").json()
    kept = {each["owner"]: each for each in details["shares"]}
    assert len(kept) == booked["owners"] == 3
    for each in shares:
        assert kept[each["owner"]]["share"] == pytest.approx(each["share"], abs=1e-12)
        assert kept[each["owner"]]["standard_error"] == pytest.approx(each["share_standard_error"], abs=1e-12)
        score = Fraction(sum(kept[each["owner"]]["scores"]), 3) / 2 ** details["scale"]
        assert float(score) == pytest.approx(each["score"], rel=1e-12)
    assert [(m["name"], m["unit"]) for m in details["members"]] == [("c0-m0", 0), ("c1-m1", 1), ("c2-m2", 2)]


def test_a_key_of_its_own_is_needed(api):
    response = api.served.client.post(EVENTS, json=QUERY, headers=bearer(api.keys["ada"]))
    assert response.status_code == 422
    assert "Idempotency-Key" in response.json()["detail"]


def test_what_no_policy_could_pay_for_is_not_booked(serve):
    for members, checkpoints in ((1, 1),):
        attributor, _ = fake_attributor(members=members, checkpoints=checkpoints)
        api = Api(serve({"fake": attributor}))
        refused = api.post(EVENTS, QUERY)
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:byline:problem:not-payable")
        assert "no_interval" in refused.json()["detail"]
        assert api.get(EVENTS).json()["events"] == []


def test_a_feature_and_a_gradient_can_be_booked(api):
    import torch
    from safetensors.torch import save

    assert api.post(EVENTS, {"feature": [0.5] * 18}).status_code == 201
    gradient = save({f"c{m}-m{m}/w": torch.ones(6) for m in range(3)})
    headers = bearer(api.keys["ada"]) | {
        "idempotency-key": "g",
        "content-type": "application/vnd.safetensors",
    }
    booked = api.served.client.post(f"{EVENTS}?weight=4", content=gradient, headers=headers)
    assert (booked.status_code, booked.json()["weight"], booked.json()["target"]) == (201, 4, None)
    wrong = api.post(f"{EVENTS}?weight=4", QUERY)
    assert wrong.status_code == 422


def test_from_a_policy_to_a_statement_that_its_owner_reads(api):
    assert api.post("/v1/policies", POLICY, as_="ada").status_code == 403
    made = api.post("/v1/policies", POLICY, as_="root")
    stored = made.json()["policy"]
    assert (made.status_code, made.json()["minor_digits"]) == (201, 2)
    assert (stored["confidence"], stored["multiplier"]) == (950, None)
    for text in ("one", "two", "three"):
        api.post(EVENTS, {"query": {"text": text, "label": 1}})
    drafted = api.post("/v1/statement-runs", {"draft": {"kind": "allocation", "policy": "royalties"}}).json()
    path = f"/v1/statement-runs/{drafted['id']}"
    assert api.get(f"/v1/statements/{drafted['id']}", as_="ash").status_code == 404
    assert api.post(f"{path}/approve", as_="ada").status_code == 403
    assert api.post(f"{path}/post", as_="grace").status_code == 409
    api.post(f"{path}/approve", as_="grace")
    assert api.post(f"{path}/post", as_="grace").json()["state"] == "posted"
    whole = api.get(f"/v1/statements/{drafted['id']}").json()
    totals = whole["totals"]
    assert (whole["events"], totals["pool"]) == (3, 100_000)
    assert totals["payable"] + totals["escrow"] + totals["unallocated"] == 100_000
    own = api.get(f"/v1/statements/{drafted['id']}", as_="ash").json()
    assert {line["owner"] for line in own["lines"]} <= {"owner 1"}
    assert own["totals"] is None
    assert own["lines"] == [line for line in whole["lines"] if line["owner"] == "owner 1"]
    assert [run["id"] for run in api.get("/v1/statements", as_="ash").json()["runs"]] == [drafted["id"]]
    assert api.get(f"/v1/statements/{drafted['id']}?owner=owner%202", as_="ash").status_code == 403
    assert api.get("/v1/statement-runs", as_="ash").status_code == 403
    entries = api.get("/v1/ledger").json()["entries"]
    assert sum(entry["amount"] for entry in entries) == 0
    assert {each["owner"] for each in api.get("/v1/ledger", as_="ash").json()["entries"]} == {"owner 1"}
    accounts = api.get("/v1/ledger/balances", as_="ash").json()["balances"]
    assert {(each["owner"], each["minor_digits"]) for each in accounts} == {("owner 1", 2)}
    first = api.get("/v1/ledger?limit=2").json()
    rest = api.get(f"/v1/ledger?after={first['next']}").json()["entries"]
    assert first["entries"] + rest == entries


def test_csv_and_print(api):
    api.post("/v1/policies", POLICY, as_="root")
    for text in ("one", "two", "three"):
        api.post(EVENTS, {"query": {"text": text, "label": 1}})
    run = api.posted()
    whole = api.get(f"/v1/statements/{run}").json()
    response = api.get(f"/v1/statements/{run}.csv")
    assert response.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["owner"] for row in rows] == [line["owner"] for line in whole["lines"]]
    for row, line in zip(rows, whole["lines"], strict=True):
        assert Fraction(row["payable"]) * 100 == line["payable"]
        assert Fraction(row["escrow"]) * 100 == line["escrow"]
    page = api.get(f"/v1/statements/{run}/print")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for part in ("owner 1", "Posted", "grace", "EUR", "1,000.00"):
        assert part in page.text
    own = api.get(f"/v1/statements/{run}/print", as_="ash")
    assert "owner 2" not in own.text
    assert "owner 2" not in api.get(f"/v1/statements/{run}.csv", as_="ash").text
    assert "@media print" in api.served.client.get("/static/statement.css").text


def test_the_ledgers_file_has_every_entry_and_its_amounts_are_numbers(api):
    """Money that goes out has a sign, and is no formula for that."""
    api.post("/v1/policies", POLICY, as_="root")
    for text in ("one", "two", "three"):
        api.post(EVENTS, {"query": {"text": text, "label": 1}})
    api.posted()
    entries = api.get("/v1/ledger").json()["entries"]
    file = api.get("/compensation/ledger.csv")
    assert "attachment" in file.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(file.text)))
    assert [Fraction(row["amount"]) * 100 for row in rows] == [each["amount"] for each in entries]
    assert rows[0]["amount"] == "-1000.00"
    own = list(csv.DictReader(io.StringIO(api.get("/compensation/ledger.csv", as_="ash").text)))
    assert {row["owner"] for row in own} == {"owner 1"}


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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"currency": "XXX"}, "ISO 4217"),
        ({"pool": -1}, "pool"),
        ({"pool": 1.5}, "pool"),
        ({"confidence": 1.5}, "confidence"),
        ({"confidence": 0.9, "multiplier": 2.0}, "leave one of them out"),
        ({"clipping": "none"}, "clipping"),
        ({"unknown": 1}, "unknown field"),
    ],
)
def test_policies_that_do_not_fit(api, changes, words):
    refused = api.post("/v1/policies", POLICY | changes, as_="root")
    assert refused.status_code == 422
    assert words.lower() in refused.json()["detail"].lower() or words == "unknown field"


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


def test_a_policy_that_asks_for_quality_pays_nothing_without_a_card(api):
    quality = {"minimum_quality": {"least": 0.2}}
    assert api.post("/v1/policies", POLICY | quality, as_="root").status_code == 201
    api.post(EVENTS, QUERY)
    refused = api.post("/v1/statement-runs", {"draft": {"kind": "allocation", "policy": "royalties"}})
    assert (refused.status_code, "no_quality" in refused.json()["detail"]) == (422, True)
    assert api.get("/v1/policies").json()["policies"][0]["policy"]["minimum_quality"]["millionths"] == 200_000
    assert len(api.get("/v1/policies/royalties").json()["policies"]) == 1
