"""The Usage page adds up what the API lists, and shows admins alone what was changed."""

import csv
import io

from tests.service.accounts import bearer

ASK = "/v1/indexes/fake/attributions"


def test_questions_are_counted_by_day_key_and_stage(served):
    for _ in range(3):
        assert served.client.post(ASK, json={"query": {"text": "hello"}}).is_success
    assert served.client.post(ASK, json={"query": 1}).status_code == 422
    text = served.client.get("/usage?days=7").text
    for part in ("Where the time goes", "gradient", "not understood", "What was changed"):
        assert part in text


def test_the_audit_log_is_in_words(served):
    served.key_for(scopes=["read"], owners=["owner 1", "owner 2"])
    text = served.client.get("/usage").text
    assert "owners: owner 1, owner 2" in text
    assert "None" not in text


def test_others_see_no_audit_log_and_their_own_usage(served):
    key = served.key_for(scopes=["read", "query"])
    text = served.client.get("/usage", headers=bearer(key)).text
    assert "What this key asked" in text
    assert "What was changed" not in text


def test_the_file_has_the_apis_rows(served):
    response = served.client.get("/usage.csv")
    assert response.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(response.text)))
    assert rows[0] == ["day", "key_id", "index", "requests", "queries", "milliseconds"]
    assert len(rows) - 1 == len(served.client.get("/v1/usage").json()["usage"])
