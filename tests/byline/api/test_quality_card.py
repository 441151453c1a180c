"""Quality cards as documents: finite, readable, and with one measurement of each kind."""

from datetime import date

import pytest
from pydantic import ValidationError

from byline.api.quality_card import Measurement, MeasurementProtocol, QualityCard, figure


def measurement(
    value: float = 0.5, output: str = "loss", interval: tuple[float, float] | None = None
) -> Measurement:
    return Measurement(
        metric="lds",
        title="LDS",
        statistic="mean Spearman correlation",
        value=value,
        interval=interval,
        sample="100 queries",
        protocol=MeasurementProtocol(target="loss", output=output),
        measured=date(2026, 1, 31),
    )


def test_figures_are_written_as_in_tables() -> None:
    assert [figure(v) for v in (0.5, -0.034, 1.0, 0.996, -1.0, 12.3)] == [
        ".50",
        "-.03",
        "1.00",
        ".996",
        "-1.00",
        "12.30",
    ]


def test_a_card_keeps_one_measurement_of_each_metric_target_and_output() -> None:
    empty = QualityCard(manifest="a" * 64)
    first = empty.with_measurement(measurement(0.5)).with_measurement(measurement(0.7, output="margin"))
    later = first.with_measurement(measurement(0.6, interval=(0.55, 0.65)))
    assert empty.measurements == ()
    assert [(each.value, each.protocol.output) for each in later.measurements] == [
        (0.7, "margin"),
        (0.6, "loss"),
    ]
    assert later.text == "LDS .70, 100 queries; LDS .60 (.55 to .65), 100 queries"
    assert QualityCard.model_validate_json(later.model_dump_json()) == later


@pytest.mark.parametrize(
    "wrong", [{"manifest": "short"}, {"search_recall_at_10": 1.5}, {"schema_version": 2}]
)
def test_what_is_no_card_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        QualityCard.model_validate({"manifest": "a" * 64} | wrong)


def test_numbers_are_finite() -> None:
    with pytest.raises(ValidationError):
        measurement(float("nan"))
