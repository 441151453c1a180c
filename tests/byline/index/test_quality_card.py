"""The quality card beside a version: kept, merged, and never in the way of opening an index."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from byline.api.quality_card import Measurement, MeasurementProtocol
from byline.index.index import AttributionIndex
from byline.index.quality_card import add_measurement, card_path
from byline.index.verification import verify
from tests.byline.index.building import build, heavy_tailed


def measurement(metric: str = "lds", value: float = 0.5, **protocol: object) -> Measurement:
    return Measurement(
        metric=metric,
        title=metric.upper(),
        statistic="mean Spearman correlation",
        value=value,
        interval=(value - 0.04, value + 0.03),
        sample="100 queries",
        protocol=MeasurementProtocol.model_validate({"target": "loss", "output": "loss", **protocol}),
        measured=date(2026, 1, 31),
    )


@pytest.fixture
def version(tmp_path: Path) -> Path:
    build(tmp_path / "v1", heavy_tailed(20, 4))
    return tmp_path / "v1"


def opened(version: Path) -> AttributionIndex:
    return AttributionIndex.open(version)


def test_an_index_opens_with_its_card_and_verifies_as_before(version: Path) -> None:
    assert opened(version).quality.card is None
    assert opened(version).quality.problem is None
    added = add_measurement(version, opened(version).manifest, measurement())
    assert opened(version).quality.card == added
    assert added.text == "LDS .50 (.46 to .53), 100 queries"
    assert verify(version).intact
    assert [path.name for path in version.parent.iterdir() if path.is_file()] == ["v1.quality.json"]


def test_measurements_of_other_metrics_merge_and_later_ones_replace(version: Path) -> None:
    manifest = opened(version).manifest
    for each in (
        measurement(),
        measurement("mislabel", 0.9),
        measurement(output="margin"),
        measurement(value=0.6),
    ):
        card = add_measurement(version, manifest, each)
    assert [(m.metric, m.protocol.output, m.value) for m in card.measurements] == [
        ("mislabel", "loss", 0.9),
        ("lds", "margin", 0.5),
        ("lds", "loss", 0.6),
    ]


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[" * 200_000, b'{"manifest": 3}', b"null", b" " * ((1 << 20) + 1)],
    ids=["empty", "no text", "nested", "other fields", "null", "large"],
)
def test_a_file_that_is_no_card_is_reported_and_hinders_nothing(version: Path, content: bytes) -> None:
    card_path(version).write_bytes(content)
    index = opened(version)
    assert index.quality.card is None
    assert "v1.quality.json" in str(index.quality.problem)
    assert add_measurement(version, index.manifest, measurement()) == opened(version).quality.card


def test_two_that_measure_at_once_lose_nothing(version: Path) -> None:
    manifest = opened(version).manifest
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: add_measurement(version, manifest, measurement(f"m{n}")), range(24)))
    assert len(opened(version).quality.card.measurements) == 24


def test_a_number_that_is_not_finite_is_no_card(version: Path) -> None:
    text = add_measurement(version, opened(version).manifest, measurement()).model_dump_json()
    card_path(version).write_text(text.replace('"value":0.5', '"value":NaN'))
    assert "measurements.0.value" in str(opened(version).quality.problem)
    with pytest.raises(ValidationError):
        measurement(value=float("inf"))


def test_a_card_of_another_build_is_ignored_and_said_so(version: Path, tmp_path: Path) -> None:
    add_measurement(version, opened(version).manifest, measurement())
    build(tmp_path / "v2", heavy_tailed(20, 4, seed=1))
    card_path(version).rename(card_path(tmp_path / "v2"))
    assert opened(tmp_path / "v2").quality.card is None
    assert "belongs to another build" in str(opened(tmp_path / "v2").quality.problem)
