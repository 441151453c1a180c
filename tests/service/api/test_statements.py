"""Statements over HTTP: whole, for one owner, as a file and on paper."""

import csv
import io
from fractions import Fraction

from tests.service.api.test_statement_runs import EVENTS, POLICY


def test_from_a_policy_to_a_statement_that_its_owner_reads(api):
    assert api.post("/v1/policies", POLICY, as_="ada").status_code == 403
    made = api.post("/v1/policies", POLICY, as_="root")
    stored = made.json()["policy"]
    assert (made.status_code, made.json()["minor_digits"]) == (201, 2)
    assert (stored["confidence"], stored["multiplier"]) == (950, None)
    for text in ("one", "two", "three"):
        api.post(EVENTS, {"query": {"text": text, "label": 1}})
    drafted = api.draft().json()
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
    assert [run["id"] for run in api.get("/v1/statements", as_="ash").json()["data"]] == [drafted["id"]]
    assert api.get(f"/v1/statements/{drafted['id']}?owner=owner%202", as_="ash").status_code == 403
    assert api.get("/v1/statement-runs", as_="ash").status_code == 403
    entries = api.get("/v1/ledger").json()["data"]
    assert sum(entry["amount"] for entry in entries) == 0
    assert {each["owner"] for each in api.get("/v1/ledger", as_="ash").json()["data"]} == {"owner 1"}
    accounts = api.get("/v1/ledger/balances", as_="ash").json()["data"]
    assert {(each["owner"], each["minor_digits"]) for each in accounts} == {("owner 1", 2)}
    first = api.get("/v1/ledger?limit=2").json()
    rest = api.get(f"/v1/ledger?after={first['next']}").json()["data"]
    assert first["data"] + rest == entries


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
