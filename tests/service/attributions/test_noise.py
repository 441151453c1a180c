"""Questions about a diffusion model over HTTP: images in every form, scores by timestep, and their charge."""

import numpy as np
import pytest

import byline
from byline.attribution.shown_images import with_image_paths
from byline.recipes import recipe
from tests.byline.tasks.test_denoiser import declared, images, payload
from tests.service.keys import bearer

ASK = "/v1/indexes/images/attributions"


@pytest.fixture(scope="module")
def attributor(tmp_path_factory):
    chosen = recipe("ekfac", projection={"size": 64})
    return byline.build(declared(classes=True), chosen, tmp_path_factory.mktemp("images"), progress=False)


@pytest.fixture
def served(serve, attributor):
    return serve({"images": attributor})


def as_served(attributor, *asked, **options):
    """An answer with the addresses of its images in place of their bytes."""
    answer = with_image_paths(attributor.attribute(*asked, **options), attributor.index.examples)
    return answer.model_dump(mode="json")


def same(response, offline):
    assert response.status_code == 200, response.text
    found = response.json()
    assert {**found, "timings": 0} == {**offline, "timings": 0}


def test_http_tells_what_python_tells(served, attributor):
    asked = {"k": 3, "direction": "both", "replicates": 4, "shares": True}
    response = served.client.post(ASK, json={"query": payload(5), **asked})
    same(response, as_served(attributor, payload(5), **asked))
    for point in response.json()["proponents"]:
        assert sum(band["score"] for band in point["noise"]["bands"]) == pytest.approx(
            point["score"], rel=1e-4
        )
        assert point["noise"]["standard_error"] > 0


@pytest.mark.parametrize("form", ["flat", "plane", "stack"])
def test_an_image_comes_in_any_form(served, attributor, form):
    image = images()[5]
    forms = {"flat": image.flatten(), "plane": image[0], "stack": image}
    query = {"image": forms[form].tolist(), "label": "two", "replicate": 3}
    same(served.client.post(ASK, json={"query": query, "k": 4}), as_served(attributor, query, k=4))
    unlike = served.client.post(ASK, json={"query": {**query, "image": image[0, :5].tolist()}})
    assert unlike.status_code == 422
    assert "shape [1, 8, 8], got [5, 8]" in unlike.json()["detail"]


def test_the_schemas_example_is_a_training_image_that_finds_itself(served):
    about = served.client.get("/v1/indexes/images").json()
    assert about["replicates"] is True
    (example,) = about["query_schema"]["properties"]["image"]["examples"]
    found = served.client.post(ASK, json={"query": {"image": example, "label": "zero"}, "k": 1}).json()
    np.testing.assert_allclose(example, images()[0], rtol=1e-3)
    assert found["proponents"][0]["row"] == 0


def test_an_index_without_draws_says_so(serve):
    fake = serve()
    assert fake.client.get("/v1/indexes/fake").json()["replicates"] is False
    asked = {"query": {"text": "hello"}, "replicates": 2}
    refused = fake.client.post("/v1/indexes/fake/attributions", json=asked)
    assert refused.status_code == 422
    assert "replicates" in refused.json()["detail"]


def test_the_quota_is_charged_for_every_pass(served):
    key = served.key_for(scopes=["read", "query"], queries_per_minute=10)
    asked = {"query": payload(1), "k": 3, "replicates": 4}
    assert served.client.post(ASK, json=asked, headers=bearer(key)).status_code == 200
    again = served.client.post(ASK, json=asked, headers=bearer(key))
    assert again.status_code == 429, "the first one took 2 x 4 of 10"


def test_a_batch_of_images_has_an_answer_each(served, attributor):
    queries = [payload(row) for row in (1, 2)]
    asked = {"queries": queries, "k": 2, "replicates": 2}
    found = served.client.post(ASK, json=asked).json()["answers"]
    for query, answer in zip(queries, found, strict=True):
        offline = as_served(attributor, query, k=2, replicates=2)
        assert answer["proponents"] == offline["proponents"]


def test_a_body_may_be_as_large_as_an_image(serve, attributor):
    small = serve({"images": attributor}, body_bytes=1024)
    image = [[[0.12345678901234567] * 8] * 8]
    asked = {"query": {"image": image, "label": "two"}, "k": 1}
    assert len(str(asked)) > 1024 + 200
    same(small.client.post(ASK, json=asked), as_served(attributor, asked["query"], k=1))
    refused = small.client.post(ASK, json={**asked, "filter": {"id": ["x" * 10_000]}})
    assert refused.status_code == 413
