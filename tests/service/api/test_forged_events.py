"""Events that their booker made up: a caller who may choose a feature chooses the owners' shares."""

import numpy as np

from tests.service.api.test_statement_runs import EVENTS, POLICY, QUERY
from tests.service.fakes import WIDTH

SHARES, ASK = "/v1/indexes/fake/shares", "/v1/indexes/fake/attributions"
ALLOCATION = {"draft": {"kind": "allocation", "policy": "royalties"}}


def solved_feature(api, wanted):
    """A feature whose shares are the wanted ones: scores are linear, so one question a number tells them all."""
    owners = sorted(wanted)
    sums = []
    for place in range(3 * WIDTH):
        probe = [1.0 if n == place else 0.0 for n in range(3 * WIDTH)]
        body = {"feature": probe, "shares": True, "members": True}
        answer = api.served.client.post(ASK, json=body).json()
        by_name = {each["owner"]: each["members"] for each in answer["shares"]["owners"]}
        sums.append([score for owner in owners for score in by_name[owner].values()])
    targets = [wanted[owner] for owner in owners for _ in range(3)]
    return np.linalg.lstsq(np.array(sums).T, np.array(targets), rcond=None)[0].tolist()


def test_shares_that_a_caller_solved_for_are_not_booked(api):
    api.post("/v1/policies", POLICY, as_="root")
    feature = solved_feature(api, {"owner 0": 1.0, "owner 1": -1.0, "owner 2": -1.0})
    asked = api.served.client.post(SHARES, json={"feature": feature}).json()["shares"]["owners"]
    forged = next(each for each in asked if each["owner"] == "owner 0")
    assert (forged["share"], round(forged["share_standard_error"], 6)) == (1.0, 0.0), "the attack works"
    refused = api.post(EVENTS, {"feature": feature})
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:byline:problem:not-payable")
    assert "not_admitted" in refused.json()["detail"]
    assert api.get(EVENTS).json()["data"] == []


def test_what_one_policy_admits_another_one_does_not_pay_for(api):
    api.post("/v1/policies", POLICY, as_="root")
    api.post("/v1/policies", POLICY | {"name": "research", "asked": ["feature"]}, as_="root")
    booked = api.post(EVENTS, {"feature": [0.5] * 18})
    assert (booked.status_code, booked.json()["asked"]) == (201, "feature")
    refused = api.draft()
    assert (refused.status_code, "not_admitted" in refused.json()["detail"]) == (422, True)
    assert api.post(EVENTS, {"feature": [0.5] * 18}).status_code == 201
    assert api.post(EVENTS, QUERY).json()["asked"] == "query"
    statement = api.get(f"/v1/statements/{api.posted()}").json()
    assert statement["asked"] == {"query": 1}
    assert [each["reasons"] for each in statement["refused"]] == [["not_admitted"]]


def test_a_policy_that_no_longer_admits_a_feature_books_none(api):
    api.post("/v1/policies", POLICY | {"asked": ["feature"], "indexes": ["fake"]}, as_="root")
    api.post("/v1/policies", POLICY | {"asked": ["query"]}, as_="root")
    assert api.post(EVENTS, {"feature": [0.5] * 18}).status_code == 422


def test_targets_and_recipes_are_pinned(api):
    pins = {"targets": ["margin"], "recipes": ["0" * 64]}
    assert api.post("/v1/policies", POLICY | pins, as_="root").status_code == 201
    api.post(EVENTS, QUERY)
    refused = api.draft().json()["detail"]
    assert "other_target" in refused
    assert "other_recipe" in refused
    pinned = {"targets": ["loss"], "recipes": ["f" * 64]}
    api.post("/v1/policies", POLICY | pinned, as_="root")
    api.posted(ALLOCATION)
