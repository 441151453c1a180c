"""The Usage page adds up what the API lists, and shows admins alone what was changed."""

import csv
import io
from datetime import UTC, datetime

from byline_service.accounts import usage
from byline_service.accounts.usage import UsageKey, UsageTotals
from byline_service.pages import usage as page
from tests.service.keys import bearer

ASK = "/v1/indexes/fake/attributions"


def test_questions_are_counted_by_day_key_and_stage(served):
    for _ in range(3):
        assert served.client.post(ASK, json={"query": {"text": "hello"}}).is_success
    assert served.client.post(ASK, json={"query": 1}).status_code == 422
    text = served.client.get("/usage?days=7").text
    for part in ("Time by stage", "gradient", "invalid request", "Audit log"):
        assert part in text


def test_the_audit_log_is_in_words(served):
    served.key_for(scopes=["read"], owners=["owner 1", "owner 2"])
    text = served.client.get("/usage").text
    assert "owners: owner 1, owner 2" in text
    assert "None" not in text


def test_others_see_no_audit_log_and_their_own_usage(served):
    key = served.key_for(scopes=["read", "query"])
    text = served.client.get("/usage", headers=bearer(key)).text
    assert "Requests and queries of this key" in text
    assert "Audit log" not in text


def test_the_file_has_the_apis_rows(served):
    response = served.client.get("/usage.csv")
    assert response.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))
    assert rows[0] == ["day", "key_id", "index", "requests", "queries", "milliseconds"]
    assert len(rows) - 1 == len(served.client.get("/v1/usage").json()["data"])


def test_more_rows_than_the_page_adds_up_are_all_in_the_file(served, monkeypatch):
    today = datetime.now(UTC).date()
    sums = {UsageKey(today, f"{n:012}", "fake"): UsageTotals(1, 1, 1.0) for n in range(2_500)}

    async def add(database):
        async with database.begin() as transaction:
            await usage.add(transaction, sums)

    served.client.portal.call(add, served.app.state.service.database)
    rows = list(csv.reader(io.StringIO(served.client.get("/usage.csv").text)))
    assert sorted(row[1] for row in rows[1:]) == sorted(each.key_id for each in sums)
    assert "than this page adds up" not in served.client.get("/usage").text
    monkeypatch.setattr(page, "MOST_ROWS", 2_000)
    assert "than this page adds up" in served.client.get("/usage").text
