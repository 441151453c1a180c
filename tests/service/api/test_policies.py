"""Policies over HTTP."""

import pytest

from tests.service.api.test_statement_runs import EVENTS, POLICY, QUERY


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


def test_a_policy_that_asks_for_quality_pays_nothing_without_a_card(api):
    quality = {"minimum_quality": {"least": 0.2}}
    assert api.post("/v1/policies", POLICY | quality, as_="root").status_code == 201
    api.post(EVENTS, QUERY)
    refused = api.post("/v1/statement-runs", {"draft": {"kind": "allocation", "policy": "royalties"}})
    assert (refused.status_code, "no_quality" in refused.json()["detail"]) == (422, True)
    assert api.get("/v1/policies").json()["policies"][0]["policy"]["minimum_quality"]["millionths"] == 200_000
    assert len(api.get("/v1/policies/royalties").json()["policies"]) == 1
