"""Questions over HTTP are answered as the Attributor answers them."""

import numpy as np
import pytest
import torch
from safetensors.torch import save

from byline.api.query import Filter
from byline.attribution.request import AttributionRequest
from byline.attribution.shown_images import with_image_paths
from tests.service.fakes import fake_attributor
from tests.service.test_app import ASK


def without_timings(document):
    return {name: value for name, value in document.items() if name not in {"timings", "receipt"}}


def offline(attributor, **request):
    answer = with_image_paths(attributor.attribute(AttributionRequest(**request)), attributor.index.examples)
    return without_timings(answer.model_dump(mode="json"))


def test_a_query_is_predicted_and_answered_as_offline(served):
    response = served.client.post(ASK, json={"query": {"text": "hello"}, "k": 5, "direction": "both"})
    assert response.status_code == 200
    body = response.json()
    assert without_timings(body) == offline(served.attributor, query={"text": "hello"}, k=5, direction="both")
    assert body["prediction"] == {"label": "5", "probability": 0.5}
    assert body["standard_error_scope"] == "within_checkpoint"
    assert [each["rank"] for each in body["proponents"]] == [1, 2, 3, 4, 5]
    scores = [each["score"] for each in body["proponents"]]
    assert scores == sorted(scores, reverse=True)
    assert all(each["standard_error"] > 0 for each in body["proponents"] + body["opponents"])
    assert body["coverage"] == {"searched": 200, "total": 200, "complete": True}
    assert set(body["timings"]) == {"queue", "predict", "gradient", "transform", "search", "join"}


def test_filters_members_and_shares(served):
    chosen = {"owner": ["owner 1"], "label": ["odd"]}
    body = served.client.post(
        ASK,
        json={
            "query": {"text": "x", "label": 3},
            "filter": chosen,
            "members": True,
            "shares": True,
            "k": 1000,
        },
    ).json()
    assert without_timings(body) == offline(
        served.attributor,
        query={"text": "x", "label": 3},
        filter=Filter(**chosen),
        members=True,
        shares=True,
        k=1000,
    )
    found = body["proponents"]
    assert {each["example"]["owner"] for each in found} == {"owner 1"}
    assert len(found) == body["coverage"]["searched"] < 200
    assert not body["coverage"]["complete"]
    for each in found:
        assert np.mean(list(each["members"].values())) == pytest.approx(each["score"], rel=1e-12)
    assert sum(each["share"] for each in body["shares"]["owners"]) == pytest.approx(1)


def test_a_filter_that_nothing_matches_gives_an_empty_answer(served):
    body = served.client.post(ASK, json={"query": {"text": "x"}, "filter": {"owner": ["nobody"]}}).json()
    assert body["proponents"] == []
    assert body["stands_out"] == {"proponents": None, "opponents": None}


def test_a_batch_gives_an_answer_for_each_query(served):
    texts = ["a", "bb", "ccc"]
    answers = served.client.post(ASK, json={"queries": [{"text": text} for text in texts]}).json()["answers"]
    assert [without_timings(each) for each in answers] == [
        offline(served.attributor, query={"text": text}) for text in texts
    ]


def test_a_query_set_gets_one_answer(served):
    queries = [{"text": "a"}, {"text": "bb", "label": 1}]
    body = served.client.post(ASK, json={"query_set": queries}).json()
    assert without_timings(body) == offline(served.attributor, query_set=queries)
    assert body["predictions"] == [{"label": "1", "probability": 0.5}, None]


def test_a_feature_and_a_gradient_give_the_same_answer(served):
    feature = np.random.default_rng(0).standard_normal(18).astype(np.float32)
    names = served.attributor.expected_gradients()
    parts = np.split(feature, 3)
    tensors = {name: torch.from_numpy(part.copy()) for name, part in zip(names, parts, strict=True)}
    by_feature = served.client.post(ASK, json={"feature": feature.tolist(), "k": 7}).json()
    response = served.client.post(
        f"{ASK}?k=7", content=save(tensors), headers={"content-type": "application/vnd.safetensors"}
    )
    assert response.status_code == 200, response.text
    assert without_timings(response.json()) == without_timings(by_feature)
    assert by_feature["target"] is None
    filtered = served.client.post(
        f"{ASK}?k=7&owner=owner%201&direction=both&members=true",
        content=save(tensors),
        headers={"content-type": "application/vnd.safetensors"},
    ).json()
    assert {each["example"]["owner"] for each in filtered["opponents"]} == {"owner 1"}


def test_shares_are_the_attributors(served):
    body = served.client.post("/v1/indexes/fake/shares", json={"query": {"text": "hello"}}).json()
    expected = served.attributor.shares(AttributionRequest(query={"text": "hello"}))
    assert without_timings(body) == without_timings(expected.model_dump(mode="json"))
    assert "proponents" not in body


def test_an_index_without_its_task_answers_features_only(serve):

    attributor, _ = fake_attributor(task=False, members=1, name="bare")
    client = serve({"bare": attributor}).client
    body = client.post("/v1/indexes/bare/attributions", json={"feature": [1.0] * 6}).json()
    assert body["standard_error_scope"] is None
    assert body["proponents"][0]["standard_error"] is None
    for refused in ({"query": {"text": "x"}}, {"query_set": [{"text": "x"}]}):
        assert client.post("/v1/indexes/bare/attributions", json=refused).status_code == 422
    assert client.get("/v1/indexes/bare").json()["gradients"] is None


def test_what_one_request_lists_is_bounded_by_name(serve):
    client = serve(max_entries=50).client
    asked = {"queries": [{"text": "a"}, {"text": "b"}], "k": 10}
    assert client.post(ASK, json=asked | {"direction": "both"}).status_code == 200
    assert client.post(ASK, json=asked | {"shares": True, "owners_limit": 15}).status_code == 200
    for wrong in ({"k": 26}, {"k": 13, "direction": "both"}, {"shares": True, "owners_limit": 16}):
        response = client.post(ASK, json=asked | wrong)
        assert response.status_code == 422
        assert "BYLINE_MAX_ENTRIES" in response.json()["detail"]
    shares = "/v1/indexes/fake/shares"
    assert client.post(shares, json={"query": {"text": "a"}, "owners_limit": 50}).status_code == 422
    few = client.post(shares, json={"query": {"text": "a"}, "owners_limit": 1}).json()["shares"]
    assert len(few["owners"]) == 1
    assert few["others"]["owners"] == 2


def test_large_answers_are_the_offline_ones(served):
    body = {"query": {"text": "hello"}, "k": 200, "direction": "both", "shares": True}
    answer = served.client.post(ASK, json=body).json()
    assert without_timings(answer) == offline(served.attributor, **body)
