"""What was measured about an index is told with it and with every answer."""

from datetime import date
from types import SimpleNamespace

import pytest

from byline.api.quality_card import BaselineFigure, Measurement, MeasurementProtocol, QualityCard
from byline.index.quality_card import CardReading
from tests.service.fakes import fake_attributor

CARD = QualityCard(
    manifest="a" * 64,
    measurements=(
        Measurement(
            metric="lds",
            title="LDS <b>",
            statistic="mean Spearman correlation",
            value=0.5,
            interval=(0.46, 0.53),
            sample="100 queries",
            ceiling=0.9,
            protocol=MeasurementProtocol(target="loss", output="loss", queries=100, subsets=40, alpha=0.5),
            measured=date(2026, 1, 31),
        ),
    ),
)
RIVALED = CARD.with_measurement(
    CARD.measurements[0].model_copy(
        update={
            "metric": "owner",
            "title": "leave-one-owner-out",
            "baselines": {
                "bm25": BaselineFigure(value=0.52, interval=(0.48, 0.55), lead=(-0.06, 0.02)),
                "representation": BaselineFigure(value=0.2, interval=(0.1, 0.3), lead=(0.2, 0.4)),
            },
        }
    )
)
ASK = "/v1/indexes/fake/attributions"


@pytest.fixture
def measured(serve) -> SimpleNamespace:
    return serve({"fake": fake_attributor(card=CARD)[0]})


def test_the_index_has_the_whole_card(measured) -> None:
    body = measured.client.get("/v1/indexes/fake").json()
    assert QualityCard.model_validate(body["quality_card"]) == CARD
    assert body["quality_card_problem"] is None


def test_every_answer_has_its_figures(measured) -> None:
    for path in (ASK, "/v1/indexes/fake/shares"):
        summary = measured.client.post(path, json={"query": {"text": "hello"}}).json()["quality_card"]
        assert summary["text"] == "LDS <b> .50 (.46 to .53), 100 queries"
        assert summary["manifest"] == "a" * 64
        assert summary["figures"] == [
            {
                "metric": "lds",
                "target": "loss",
                "text": summary["text"],
                "value": 0.5,
                "interval": [0.46, 0.53],
                "ceiling": 0.9,
                "not_better_than": [],
            }
        ]


def test_an_answer_tells_which_baselines_are_as_good(serve) -> None:
    rivaled = serve({"fake": fake_attributor(card=RIVALED)[0]})
    summary = rivaled.client.post(ASK, json={"query": {"text": "hello"}}).json()["quality_card"]
    assert [each["not_better_than"] for each in summary["figures"]] == [[], ["bm25"]]
    assert summary["text"].endswith("leave-one-owner-out .50 (.46 to .53), 100 queries; not better than BM25")
    body = rivaled.client.get("/v1/indexes/fake").json()
    assert QualityCard.model_validate(body["quality_card"]) == RIVALED


def test_without_a_card_nothing_is_claimed(served) -> None:
    assert served.client.post(ASK, json={"query": {"text": "hello"}}).json()["quality_card"] is None
    assert served.client.get("/v1/indexes/fake").json()["quality_card"] is None


def test_a_card_that_cannot_be_used_says_why(serve) -> None:
    attributor, _ = fake_attributor()
    attributor.index.quality = CardReading(problem="v1.quality.json belongs to another build")
    body = serve({"fake": attributor}).client.get("/v1/indexes/fake").json()
    assert "another build" in body["quality_card_problem"]


def test_the_reference_describes_the_card(measured) -> None:
    schemas = measured.client.get("/openapi.json").json()["components"]["schemas"]
    assert {"QualityCard", "Measurement", "MeasurementProtocol", "CardSummary"} <= set(schemas)
    assert all("description" in field for field in schemas["Measurement"]["properties"].values())
