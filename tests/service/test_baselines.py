"""Rankings by similarity over HTTP: offered by a setting, the library's answers, and refused where they mean nothing."""

import json

import pytest

from byline.attribution.request import AttributionRequest
from byline.attribution.shown_images import with_image_paths
from byline.errors import InvalidInput
from byline_service.app import create_app
from byline_service.settings import Settings
from tests.service.fakes import fake_attributor

ASK = "/v1/indexes/fake/attributions"
QUERY = {"text": "hello number 7", "label": 1}


@pytest.fixture
def offering(serve):
    return serve(baselines="bm25")


def asked(served, **body):
    response = served.client.post(ASK, json=body)
    return response.status_code, response.json()


def test_the_answer_is_the_librarys_and_names_the_baseline(offering):
    status, body = asked(offering, query=QUERY, baseline="bm25", k=6, direction="both")
    assert status == 200
    request = AttributionRequest(query=QUERY, baseline="bm25", k=6, direction="both")
    attributor = offering.attributor
    answer = with_image_paths(attributor.attribute(request), attributor.index.examples)
    offline = answer.model_dump(mode="json")
    assert {**body, "timings": None} == {**offline, "timings": None}
    assert body["baseline"] == "bm25"
    assert body["recipe"] is body["recipe_fingerprint"] is body["quality_card"] is None
    assert [each["row"] for each in body["proponents"][:4]] == [7, 57, 107, 157], (
        "ties are in the order of rows"
    )
    assert offering.featurizer.batches == [1], "only the first query of the warm-up was differentiated"


def test_filters_and_batches(offering):
    status, body = asked(offering, query=QUERY, baseline="bm25", k=2, filter={"owner": ["owner 0"]})
    assert status == 200
    assert [each["row"] for each in body["proponents"]] == [57, 0]
    status, body = asked(offering, queries=[QUERY, {"text": "number 8"}], baseline="bm25", k=1)
    assert status == 200
    assert [each["proponents"][0]["row"] for each in body["answers"]] == [7, 8]
    assert body["answers"][1]["prediction"] is not None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"query": QUERY, "shares": True}, "shares follow influence scores, never similarity"),
        ({"query": QUERY, "members": True}, "expected members without a baseline"),
        ({"query": QUERY, "target": "margin"}, "expected target without a baseline"),
        ({"query": QUERY, "drill_down": True}, "expected drill_down without a baseline"),
        ({"feature": [0.0] * 18}, "similarity compares items, not gradients or features"),
        ({"query": QUERY, "baseline": "knn_shapley"}, "expected 'bm25' or 'representation'"),
        ({"query": QUERY, "baseline": "representation"}, "byline serve --baselines representation"),
    ],
)
def test_what_means_nothing_is_refused(offering, body, message):
    status, problem = asked(offering, **{"baseline": "bm25", **body})
    assert status == 422
    assert message in problem["detail"]


def test_without_the_setting_nothing_is_offered(served):
    assert served.client.get("/v1/indexes/fake").json()["baselines"] == []
    status, problem = asked(served, query=QUERY, baseline="bm25")
    assert status == 422
    assert "BYLINE_BASELINES=bm25" in problem["detail"]


def test_the_index_says_what_it_offers(serve):
    bare = fake_attributor(task=False, name="bare")[0]
    served = serve({"fake": fake_attributor()[0], "bare": bare}, baselines="bm25")
    assert served.client.get("/v1/indexes/fake").json()["baselines"] == ["bm25"]
    assert served.client.get("/v1/indexes/bare").json()["baselines"] == []
    response = served.client.post("/v1/indexes/bare/attributions", json={"query": QUERY, "baseline": "bm25"})
    assert response.status_code == 422
    assert "it was opened without its Task" in response.json()["detail"]


def test_a_baseline_that_no_index_can_answer_by_is_a_mistake():
    with pytest.raises(InvalidInput, match=r"representation, got none \(fake: expected Task\.representation"):
        create_app(Settings(baselines="representation"), {"fake": fake_attributor()[0]})


def test_questions_before_it_is_fitted_are_told_to_wait():
    attributor = fake_attributor()[0]
    create_app(Settings(baselines=["bm25"]), {"fake": attributor})
    question = attributor.check(AttributionRequest(query=QUERY, baseline="bm25"))
    assert "is being fitted: try again" in str(attributor.answer([question])[0])


def test_a_text_that_the_task_fails_on_touches_no_other_question(offering, monkeypatch):
    def text(item):
        if "boom" in item[0]:
            raise IndexError("secret content")
        return item[0]

    monkeypatch.setattr(offering.attributor.task, "text", text)
    questions = [
        offering.attributor.check(AttributionRequest(query={"text": word, "label": 1}, baseline="bm25"))
        for word in ("boom", "hello")
    ]
    refused, answer = offering.attributor.answer(questions)
    assert "got one that it failed on (IndexError)" in str(refused)
    assert answer.baseline == "bm25"


def test_the_setting_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("BYLINE_BASELINES", "bm25, representation")
    assert Settings().baselines == ("bm25", "representation")
    assert Settings.model_validate(Settings().model_dump()).baselines == ("bm25", "representation")
    with pytest.raises(ValueError, match="Input should be 'bm25', 'representation' or 'blend'"):
        Settings(baselines="knn_shapley")


def test_the_page_has_the_choice_and_openapi_the_field(offering):
    page = offering.client.get("/").text
    assert '<div class="field" id="ranking" hidden><label for="baseline">Ranked by</label>' in page
    written = offering.client.get("/openapi.json").json()
    field = json.dumps(written["components"]["schemas"]["AttributionBody"]["properties"]["baseline"])
    assert '"bm25", "representation"' in field
    assert "baseline" in written["components"]["schemas"]["Answer"]["properties"]
