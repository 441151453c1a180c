"""The page of policies: sentences, the history, and who may revise."""

import re
from html import unescape

from tests.service.keys import bearer
from tests.service.pages.compensation.test_policy_words import policy, sentences


def test_a_policy_is_told_in_sentences_to_readers(house):
    text = unescape(house.get("/compensation/policies", house.keys["ada"]).text)
    for each in sentences(policy(floor=6_000)).values():
        assert each in text
    assert "data-policy-form" not in text, "only an admin can revise"
    assert "data-policy-form" in house.get("/compensation/policies").text


def test_the_history_tells_what_each_revision_changed(served):
    body = {"name": "answers", "currency": "EUR", "pool": 100}
    for floor in (0, 7):
        made = served.client.post(
            "/v1/policies", json=body | {"floor": floor}, headers={"Idempotency-Key": f"k{floor}"}
        )
        assert made.status_code == 201
    text = unescape(served.client.get("/compensation/policies").text)
    assert "<ins>Amounts below 0.07 EUR are carried into the next run.</ins>" in text
    assert "Before: Every amount is paid, however small." in text
    for revision in (1, 2):
        assert re.search(rf'<b>Revision {revision}</b> <span class="hint">tester, <time', text)
    key = served.key_for(scopes=["read"], owners=["owner 1"])
    assert served.client.get("/compensation/policies", headers=bearer(key)).status_code == 403
