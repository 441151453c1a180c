"""The ledger over HTTP."""

import csv
import io
from fractions import Fraction

from tests.service.api.test_statement_runs import EVENTS, POLICY


def test_the_ledgers_file_has_every_entry_and_its_amounts_are_numbers(api):
    """Money that goes out has a sign, and is no formula for that."""
    api.post("/v1/policies", POLICY, as_="root")
    for text in ("one", "two", "three"):
        api.post(EVENTS, {"query": {"text": text, "label": 1}})
    api.posted()
    entries = api.get("/v1/ledger").json()["data"]
    file = api.get("/compensation/ledger.csv")
    assert "attachment" in file.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(file.text)))
    assert [Fraction(row["amount"]) * 100 for row in rows] == [each["amount"] for each in entries]
    assert rows[0]["amount"] == "-1000.00"
    own = list(csv.DictReader(io.StringIO(api.get("/compensation/ledger.csv", as_="ash").text)))
    assert {row["owner"] for row in own} == {"owner 1"}
