"""What every endpoint answers over a fake index: the same as the Attributor offline."""

import asyncio
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from starlette.testclient import TestClient

import byline_service
from byline.api.query import AttributionOptions, Filter
from byline.attribution.request import AttributionRequest
from byline.recipes import recipe
from byline_service.app import create_app
from tests.service.fakes import fake_attributor
from tests.service.keys import prepared

ASK = "/v1/indexes/fake/attributions"


def without_timings(document):
    return {name: value for name, value in document.items() if name != "timings"}


def offline(attributor, **request):
    return without_timings(attributor.attribute(AttributionRequest(**request)).model_dump(mode="json"))


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


def test_an_index_of_groups_says_so(serve):
    served = serve()
    index = served.attributor.index
    index.groups, index.points = object(), 900
    for info in (
        served.client.get("/v1/indexes").json()["indexes"][0],
        served.client.get("/v1/indexes/fake").json(),
    ):
        assert (info["rows"], info["unit"], info["points"]) == (200, "group", 900)


def test_shares_are_the_attributors(served):
    body = served.client.post("/v1/indexes/fake/shares", json={"query": {"text": "hello"}}).json()
    expected = served.attributor.shares(AttributionRequest(query={"text": "hello"}))
    assert without_timings(body) == without_timings(expected.model_dump(mode="json"))
    assert "proponents" not in body


def test_indexes_are_listed_and_described(served):
    listed = served.client.get("/v1/indexes").json()["indexes"]
    assert listed == [
        {
            "name": "fake",
            "index": "fake",
            "version": "0123456789ab",
            "rows": 200,
            "unit": "point",
            "points": 200,
            "recipe": "grad_dot",
        }
    ]
    info = served.client.get("/v1/indexes/fake").json()
    assert info["query_schema"]["properties"]["text"]["maxLength"] == 500
    assert info["targets"] == ["loss", "margin"]
    assert info["gradients"] == {"c0-m0/w": [6], "c0-m1/w": [6], "c0-m2/w": [6]}
    assert info["recipe_document"]["name"] == "grad_dot"


def test_examples_are_paged_and_found_by_ids_with_slashes(served):
    pages, after = [], None
    while True:
        page = served.client.get(
            "/v1/indexes/fake/examples", params={"limit": 90} | ({"after": after} if after else {})
        ).json()
        pages += page["examples"]
        after = page["next"]
        if after is None:
            break
    assert [each["row"] for each in pages] == list(range(200))
    found = served.client.get("/v1/indexes/fake/examples/docs/7/part.py%237")
    assert found.json() == pages[7]
    assert served.client.get("/v1/indexes/fake/examples/docs%2F7%2Fpart.py%237").json() == pages[7]


def test_self_influence_is_paged_largest_first_ties_by_row(served):
    rows, after = [], None
    while True:
        page = served.client.get(
            "/v1/indexes/fake/self-influence",
            params={"limit": 64} | ({"after": after} if after else {}),
        ).json()
        rows += [(-each["self_influence"], each["row"]) for each in page["examples"]]
        after = page["next"]
        if after is None:
            break
    assert rows == sorted(rows)
    assert len(rows) == 200


def test_self_influence_of_solved_queries_is_refused(served):
    served.attributor.index.recipe = recipe("if_cg")
    answer = served.client.get("/v1/indexes/fake/self-influence")
    assert answer.status_code == 422
    assert "no self-influence" in answer.json()["detail"]


def test_owners(served):
    owners = served.client.get("/v1/indexes/fake/owners").json()["owners"]
    assert [(each["owner"], each["examples"]) for each in owners] == [
        ("owner 0", 67),
        ("owner 1", 67),
        ("owner 2", 66),
    ]


def test_owners_are_paged(served):
    first = served.client.get("/v1/indexes/fake/owners?limit=2").json()
    rest = served.client.get("/v1/indexes/fake/owners", params={"after": first["next"]}).json()
    assert [each["owner"] for each in rest["owners"]] == ["owner 2"]
    assert rest["next"] is None


def test_health_and_metrics(served):
    assert served.client.get("/livez").json() == {"status": "ok"}
    assert served.client.get("/readyz").json() == {"status": "ready"}
    served.client.post(ASK, json={"query": {"text": "hello"}})
    text = served.client.get("/metrics").text
    assert 'byline_stage_seconds_count{index="fake",stage="search"} 1.0' in text
    assert "byline_batch_queries" in text
    assert 'route="/v1/indexes/{name}/attributions",status="200"' in text


def test_closed_means_not_ready_and_no_new_questions(served):
    served.app.state.service.admission.close()
    for response in (
        served.client.get("/readyz"),
        served.client.post(ASK, json={"query": {"text": "hello"}}),
    ):
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
    assert served.client.get("/livez").status_code == 200


def test_openapi_declares_every_failure_and_each_indexs_query(served):
    document = served.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert schemas["Query_fake"]["properties"]["text"]["maxLength"] == 500
    ask = document["paths"]["/v1/indexes/{name}/attributions"]["post"]
    refused = {"400", "401", "403", "404", "413", "415", "421", "422", "429", "500", "503", "504"}
    assert set(ask["responses"]) == {"200"} | refused
    assert set(ask["requestBody"]["content"]) == {"application/json", "application/vnd.safetensors"}
    assert {"$ref": "#/components/schemas/Query_fake"} in schemas["AttributionBody"]["properties"]["query"][
        "anyOf"
    ]
    operations = [op for path in document["paths"].values() for op in path.values()]
    for op in operations:
        for status, response in op["responses"].items():
            if not status.startswith("2"):
                assert list(response["content"]) == ["application/problem+json"]
    text = json.dumps(document)
    names = {ref.split('"')[0] for ref in text.split("#/components/schemas/")[1:]}
    assert names <= set(schemas), "a reference leads nowhere"
    assert set(AttributionOptions.model_fields) <= set(schemas["AttributionBody"]["properties"])


def test_pages_load_nothing_from_elsewhere(served):
    for path in ("/", "/docs", "/login", "/indexes", "/indexes/fake"):
        response = served.client.get(path)
        assert response.status_code == 200
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "<script>" not in response.text
        assert " style=" not in response.text
        assert "//" not in response.text.replace("<!--", "").split("<main")[0]
    for path in (Path(byline_service.__file__).parent / "static").iterdir():
        if path.is_file():
            response = served.client.get(f"/static/{path.name}")
            assert response.status_code == 200
            assert "innerHTML" not in response.text


def test_an_index_without_its_task_answers_features_only(serve):
    from tests.service.fakes import fake_attributor

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


def test_health_is_also_told_to_head_requests(served):
    for path in ("/livez", "/readyz"):
        assert served.client.head(path).status_code == 200
    served.app.state.service.admission.close()
    assert served.client.head("/readyz").status_code == 503


def test_connections_are_closed_after_what_uses_them_has_ended(tmp_path):
    app, order, looking = (
        create_app(prepared(tmp_path), {"fake": fake_attributor()[0]}),
        [],
        threading.Event(),
    )
    service = app.state.service
    dispose = service.database.dispose

    async def poll():
        looking.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)  # as a driver that ends its statement
            order.append("follower ended")

    async def noted():
        order.append("closed")
        await dispose()

    service.follower.poll, service.database.dispose = poll, noted
    with TestClient(app, base_url="http://localhost"):
        assert looking.wait(20)
    assert order == ["follower ended", "closed"]
