"""Scores token by token over HTTP: the same as offline, charged, and with the texts that previews show alone."""

from dataclasses import replace

import pytest

import byline
from byline.recipes import recipe
from tests.byline.features import words
from tests.service.keys import bearer

ASK = "/v1/indexes/words/attributions"
QUERY = {"words": ["the", "cat", "sat", "on", "a", "mat"]}


@pytest.fixture(scope="module")
def attributor(tmp_path_factory):
    chosen = recipe("grad_dot", projection={"size": 64})
    return byline.build(words.task(), chosen, tmp_path_factory.mktemp("words"), progress=False)


@pytest.fixture
def served(serve, attributor):
    return serve({"words": attributor})


def test_http_tells_what_python_tells(served, attributor):
    body = {"query": QUERY, "k": 3, "direction": "both", "tokens": True}
    response = served.client.post(ASK, json=body)
    assert response.status_code == 200, response.text
    offline = attributor.attribute(QUERY, k=3, direction="both", tokens=True).model_dump(mode="json")
    assert {**response.json(), "timings": 0} == {**offline, "timings": 0}
    for point in response.json()["proponents"]:
        assert sum(point["tokens"]["query_parts"]) == pytest.approx(point["score"], rel=1e-4)
        assert sum(point["tokens"]["training_parts"]) == pytest.approx(point["score"], rel=1e-4)


def test_an_index_says_whether_it_tells_tokens(served, serve):
    assert served.client.get("/v1/indexes/words").json()["tokens"] is True
    fake = serve()
    assert fake.client.get("/v1/indexes/fake").json()["tokens"] is False
    refused = fake.client.post(
        "/v1/indexes/fake/attributions", json={"query": {"text": "hello"}, "tokens": True}
    )
    assert refused.status_code == 422
    assert "opened without its Task" in refused.json()["detail"]


def test_the_quota_is_charged_for_every_pass(served):
    key = served.key_for(scopes=["read", "query"], queries_per_minute=10)
    asked = {"query": QUERY, "k": 3, "tokens": True}
    assert served.client.post(ASK, json=asked, headers=bearer(key)).status_code == 200
    again = served.client.post(ASK, json=asked, headers=bearer(key))
    assert again.status_code == 429, "the first one took 1 + 2 x 3 of 10"
    plain = served.client.post(ASK, json={"query": QUERY, "k": 3}, headers=bearer(key))
    assert plain.status_code == 200


def test_texts_without_a_preview_never_leave(serve, tmp_path):
    hidden = replace(words.task(), describe=lambda row: byline.Example(id=f"row-{row}"))
    index = byline.build(hidden, recipe("grad_dot", projection={"size": 64}), tmp_path, progress=False)
    found = serve({"words": index}).client.post(ASK, json={"query": QUERY, "k": 5, "tokens": True}).json()
    for point in found["proponents"]:
        assert point["tokens"]["texts"] is None
        assert point["tokens"]["copied"] == []
        assert point["tokens"]["paragraphs"] == []
        assert point["tokens"]["training_parts"]
        assert len(point["tokens"]["training_parts"]) == 1, "the number of words is no number of the answer"


@pytest.mark.parametrize("preview", ["[redacted]", "the", ""])
def test_words_that_a_preview_does_not_show_never_leave(serve, tmp_path, preview):
    hidden = replace(words.task(), describe=lambda row: byline.Example(id=f"row-{row}", preview=preview))
    index = byline.build(hidden, recipe("grad_dot", projection={"size": 64}), tmp_path, progress=False)
    found = serve({"words": index}).client.post(ASK, json={"query": QUERY, "k": 5, "tokens": True}).json()
    for point in found["proponents"]:
        assert set(point["tokens"]["texts"]) <= {"…", preview, f" {preview}"}
        assert sum(point["tokens"]["training_parts"]) == pytest.approx(point["score"], rel=1e-4)


def test_keys_of_owners_cannot_ask(served):
    key = served.key_for(scopes=["read"], owners=["owner 1"])
    refused = served.client.post(ASK, json={"query": QUERY, "tokens": True}, headers=bearer(key))
    assert refused.status_code == 403
