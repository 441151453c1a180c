"""Rankings by a blend over HTTP: the library's answer, named as what it is, and never booked."""

import numpy as np
import pytest

from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.errors import InvalidInput
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig
from byline_service.app import create_app
from byline_service.settings import Settings
from tests.indexer import tiny_task

ASK, BOOK = "/v1/indexes/tiny/attributions", "/v1/indexes/tiny/events"
QUERY = {"x": [0.1, -0.4, 1.2, 0.3, -0.8, 0.5], "label": 2}


def opened(folder, blend):
    config = {
        "task": f"{tiny_task.__file__}:task",
        "recipe": {"name": "trak", "projection": {"size": 24}},
        "index": {"path": folder},
        "blend": blend,
    }
    build(BuildConfig.model_validate(config))
    return Attributor.open(folder, name="tiny")


@pytest.fixture
def attributor(tmp_path):
    return opened(tmp_path / "index", {"baseline": "bm25", "weight": 0.5})


@pytest.fixture
def offering(serve, attributor):
    return serve({"tiny": attributor}, baselines="bm25,blend")


def test_the_answer_is_the_librarys_and_says_what_it_is(offering, attributor):
    assert offering.client.get("/v1/indexes/tiny").json()["baselines"] == ["bm25", "blend"]
    response = offering.client.post(ASK, json={"query": QUERY, "baseline": "blend", "k": 20})
    assert response.status_code == 200
    body = response.json()
    request = AttributionRequest(query=QUERY, baseline="blend", k=20)
    offline = attributor.attribute(request).model_dump(mode="json")
    assert {**body, "timings": None} == {**offline, "timings": None}
    assert body["blend"] == {"baseline": "bm25", "weight": 0.5}
    assert (body["recipe"], body["target"]) == ("trak", "margin")
    others = [
        offering.client.post(ASK, json={"query": QUERY, "baseline": name, "k": 90}).json()
        for name in (None, "bm25")
    ]
    assert others[0]["blend"] is others[1]["blend"] is None
    blended = np.zeros(90)
    for weight, answer in zip((1.0, 0.5), others, strict=True):
        scores = {each["row"]: each["score"] for each in answer["proponents"]}
        column = np.array([scores[row] for row in range(90)])
        blended += weight * (column - column.mean()) / column.std()
    found = [(each["row"], each["score"]) for each in body["proponents"]]
    assert found == [(row, pytest.approx(blended[row], abs=1e-5)) for row, _ in found]
    assert {row for row, _ in found} == set(np.argsort(-blended)[:20].tolist())


def test_a_blend_has_no_shares_and_is_not_booked(offering):
    refused = offering.client.post(ASK, json={"query": QUERY, "baseline": "blend", "shares": True})
    assert refused.status_code == 422
    assert "shares follow influence scores, never similarity" in refused.json()["detail"]
    booked = offering.client.post(
        BOOK, json={"query": QUERY, "baseline": "blend"}, headers={"Idempotency-Key": "blended"}
    )
    assert booked.status_code == 422
    assert "baseline" in booked.json()["detail"]
    assert offering.client.get(BOOK).json()["data"] == []


def test_an_index_without_a_blend_offers_none(tmp_path):
    attributor = opened(tmp_path / "index", None)
    with pytest.raises(
        InvalidInput, match=r"the baseline blend, got none \(tiny: the index has no blend: write"
    ):
        create_app(Settings(baselines="blend"), {"tiny": attributor})
