"""Quality cards as documents: finite, readable, and with one measurement of each kind."""

from datetime import date

import pytest
from pydantic import ValidationError

from byline.api.quality_card import BaselineFigure, Measurement, MeasurementProtocol, QualityCard, figure


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


def test_a_figure_names_the_baselines_that_are_as_good() -> None:
    better = BaselineFigure(value=0.3, interval=(0.2, 0.35), lead=(0.1, 0.3))
    as_good = BaselineFigure(value=0.48, interval=(0.4, 0.5), lead=(-0.01, 0.1))
    unknown = BaselineFigure(value=0.1)
    found = measurement().model_copy(update={"baselines": {"bm25": as_good, "representation": better}})
    assert found.not_better_than == ("bm25",)
    assert found.text == "LDS .50, 100 queries; not better than BM25"
    assert found.baseline_text == "BM25 .48 (.40 to .50); representation similarity .30 (.20 to .35)"
    assert not unknown.exceeded
    assert measurement().not_better_than == ()
    beaten = found.model_copy(update={"baselines": {"bm25": better}})
    assert beaten.text == "LDS .50, 100 queries"


@pytest.mark.parametrize(
    "wrong", [{"manifest": "short"}, {"search_recall_at_10": 1.5}, {"schema_version": 2}]
)
def test_what_is_no_card_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        QualityCard.model_validate({"manifest": "a" * 64} | wrong)


def test_numbers_are_finite() -> None:
    with pytest.raises(ValidationError):
        measurement(float("nan"))
