"""The page of holds: who sees them, and who is offered what."""

from tests.service.keys import bearer


def test_holds_are_listed_with_their_reasons(served):
    assert served.client.post("/v1/parties", json={"name": "<b>"}).status_code in {200, 201}
    for owner in ("owner 1", "<b>"):
        body = {"subject": {"owner": owner}, "nature": "dispute", "reason": f"two estates claim {owner}"}
        made = served.client.post("/v1/holds", json=body, headers={"Idempotency-Key": owner})
        assert made.status_code == 201, made.text
    text = served.client.get("/compensation/holds").text
    assert "two estates claim &lt;b&gt;" in text
    assert "in force" in text
    reader = bearer(served.key_for(scopes=["read"]))
    text = served.client.get("/compensation/holds", headers=reader).text
    assert "two estates claim" in text
    assert "data-end-hold" not in text
    assert "data-place-hold" not in text
