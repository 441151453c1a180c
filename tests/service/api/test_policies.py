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
        ({"period": "fortnight"}, "period"),
        ({"spread": "event"}, "budget of one period"),
        ({"budget": 5}, "leave it out"),
        ({"largest_weight": 0}, "largest_weight"),
        ({"group": "A group"}, "group"),
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
    refused = api.draft()
    assert (refused.status_code, "no_quality" in refused.json()["detail"]) == (422, True)
    assert api.get("/v1/policies").json()["data"][0]["policy"]["minimum_quality"]["millionths"] == 200_000
    assert len(api.get("/v1/policies/royalties").json()["data"]) == 1


def test_the_terms_of_the_first_revision_stay(api):
    made = api.post("/v1/policies", POLICY, as_="root").json()["policy"]
    stored = (made["period"], made["budget"], made["largest_weight"], made["group"])
    assert stored == ("month", 100_000, 100, "default")
    for change in ({"period": "week"}, {"group": "another"}):
        refused = api.post("/v1/policies", POLICY | change, as_="root")
        assert (refused.status_code, next(iter(change)) in refused.json()["detail"]) == (409, True)
