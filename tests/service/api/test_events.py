"""Events over HTTP: booked once for each key, with the shares of their answers."""

from fractions import Fraction

import numpy as np
import pytest

from tests.service.api.conftest import Api
from tests.service.api.test_statement_runs import EVENTS, POLICY, QUERY
from tests.service.fakes import fake_attributor
from tests.service.keys import bearer


def test_an_event_is_booked_once_for_each_key(api):
    first = api.post(EVENTS, QUERY | {"weight": 3, "reference": "generation 7"}, key="one")
    assert first.status_code == 201
    again = api.post(EVENTS, QUERY | {"weight": 3, "reference": "generation 7"}, key="one")
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    other = api.post(EVENTS, QUERY, key="one")
    assert (other.status_code, other.json()["type"]) == (422, "urn:byline:problem:idempotency-mismatch")
    api.post(EVENTS, QUERY, key="two")
    listed = api.get(EVENTS).json()["data"]
    assert [each["weight"] for each in listed] == [1, 3]
    assert listed[1] == first.json()
    assert first.json()["reference"] == "generation 7"
    assert 'byline_events_total{index="fake"} 2.0' in api.get("/metrics").text
    page = api.get(f"{EVENTS}?limit=1").json()
    assert api.get(f"{EVENTS}?limit=1&after={page['next']}").json()["data"] == listed[1:]


def test_an_events_shares_are_those_of_the_answer(api):
    booked = api.post(EVENTS, QUERY).json()
    shares = api.served.client.post("/v1/indexes/fake/shares", json=QUERY).json()["shares"]["owners"]
    details = api.get(f"{EVENTS}/{booked['id']}").json()
    kept = {each["owner"]: each for each in details["shares"]}
    assert len(kept) == booked["owners"] == 3
    for each in shares:
        assert kept[each["owner"]]["share"] == pytest.approx(each["share"], abs=1e-12)
        assert kept[each["owner"]]["standard_error"] == pytest.approx(each["share_standard_error"], abs=1e-12)
        score = Fraction(sum(kept[each["owner"]]["scores"]), 3) / 2 ** details["scale"]
        assert float(score) == pytest.approx(each["score"], rel=1e-12)
    assert [(m["name"], m["unit"]) for m in details["members"]] == [("c0-m0", 0), ("c1-m1", 1), ("c2-m2", 2)]


def test_an_events_works_are_the_strongest_rows_of_each_owner(api):
    """Against sums in float64 over the fake's own vectors. Works and rest are the owner's sum, to the last unit."""
    booked = api.post(EVENTS, QUERY).json()
    details = api.get(f"{EVENTS}/{booked['id']}").json()
    attributor = api.served.attributor
    answer = attributor.attribute(QUERY["query"], k=200)
    rows = {point.example.id: point for point in answer.proponents}
    assert len(rows) == 200
    for share in details["shares"]:
        own = [point for point in rows.values() if point.example.owner == share["owner"]]
        expected = sorted(own, key=lambda point: (-abs(np.float32(point.score)), point.row))[:5]
        assert [work["example"] for work in share["works"]] == [point.example.id for point in expected]
        for work, point in zip(share["works"], expected, strict=True):
            score = Fraction(work["score"], 3) / 2 ** details["scale"]
            assert float(score) == pytest.approx(point.score, rel=1e-6)
        assert sum(work["score"] for work in share["works"]) + share["rest"] == sum(share["scores"])
    receipt = api.served.client.post(
        "/v1/indexes/fake/attributions", json=QUERY | {"shares": True, "members": True}
    ).json()["receipt"]["content"]
    assert receipt["works"] == {
        each["owner"]: [[work["example"], work["score"]] for work in each["works"]]
        for each in details["shares"]
    }


def test_a_receipt_with_other_works_is_refused(api):
    asked = QUERY | {"shares": True, "members": True}
    receipt = api.served.client.post("/v1/indexes/fake/attributions", json=asked).json()["receipt"]
    owner, works = next(iter(receipt["content"]["works"].items()))
    for changed in (
        [],
        works[:-1],
        [[works[0][0], works[0][1] + 1], *works[1:]],
        [["x", works[0][1]], *works[1:]],
    ):
        forged = {
            **receipt,
            "content": receipt["content"] | {"works": receipt["content"]["works"] | {owner: changed}},
        }
        assert api.post(EVENTS, {"receipt": forged}).status_code == 422
    assert api.post(EVENTS, {"receipt": receipt}).status_code == 201


def test_answers_that_no_event_is_booked_from_do_not_scan(api, monkeypatch):
    def scan(*_: object) -> None:
        raise AssertionError("scanned")

    monkeypatch.setattr(type(api.served.attributor._rows.searcher), "scores", scan)
    ask = api.served.client.post
    for more in ({}, {"shares": True}, {"shares": True, "members": True, "owners_limit": 2}):
        assert ask("/v1/indexes/fake/attributions", json=QUERY | more).status_code == 200
    assert ask("/v1/indexes/fake/shares", json=QUERY).status_code == 200


def test_a_key_of_its_own_is_needed(api):
    response = api.served.client.post(EVENTS, json=QUERY, headers=bearer(api.keys["ada"]))
    assert response.status_code == 422
    assert "Idempotency-Key" in response.json()["detail"]


def test_what_no_policy_could_pay_for_is_not_booked(serve):
    for members, checkpoints in ((1, 1),):
        attributor, _ = fake_attributor(members=members, checkpoints=checkpoints)
        api = Api(serve({"fake": attributor}))
        refused = api.post(EVENTS, QUERY)
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:byline:problem:not-payable")
        assert "no_interval" in refused.json()["detail"]
        assert api.get(EVENTS).json()["data"] == []


def test_a_feature_and_a_gradient_can_be_booked(api):
    import torch
    from safetensors.torch import save

    admitting = POLICY | {"asked": ["query", "gradient", "feature"]}
    assert api.post("/v1/policies", admitting, as_="root").status_code == 201
    assert api.post(EVENTS, {"feature": [0.5] * 18}).status_code == 201
    gradient = save({f"c{m}-m{m}/w": torch.ones(6) for m in range(3)})
    headers = bearer(api.keys["ada"]) | {
        "idempotency-key": "g",
        "content-type": "application/vnd.safetensors",
    }
    booked = api.served.client.post(f"{EVENTS}?weight=4", content=gradient, headers=headers)
    assert (booked.status_code, booked.json()["weight"], booked.json()["target"]) == (201, 4, None)
    wrong = api.post(f"{EVENTS}?weight=4", QUERY)
    assert wrong.status_code == 422
