"""The page of consents: who sees them, by index, and who may import."""

from tests.service.keys import bearer


def consent(owner, **changed):
    row = {"owner": owner, "index": "fake", "status": "prohibited", "since": "2026-03-01T00:00:00Z"}
    return row | {"source": f"letter of {owner}"} | changed


def test_consents_are_listed_by_index_with_their_source(served):
    assert served.client.post("/v1/parties", json={"name": "<b>"}).status_code in {200, 201}
    rows = [consent("owner 1", work="3"), consent("<b>", index="other", status="expired")]
    made = served.client.post("/v1/consents", json={"consents": rows}, headers={"Idempotency-Key": "k"})
    assert made.status_code == 201, made.text
    text = served.client.get("/compensation/consents").text
    assert "letter of owner 1" in text
    assert "letter of &lt;b&gt;" in text
    assert 'data-import="consents"' in text
    text = served.client.get("/compensation/consents?index=other").text
    assert "letter of &lt;b&gt;" in text
    assert "letter of owner 1" not in text


def test_a_reader_sees_consents_and_imports_none(served):
    reader = bearer(served.key_for(scopes=["read"]))
    text = served.client.get("/compensation/consents", headers=reader).text
    assert "All works are allowed." in text
    assert "data-import" not in text
    owner = bearer(served.key_for(scopes=["read"], owners=["owner 1"]))
    assert served.client.get("/compensation/consents", headers=owner).status_code == 403
