"""A quality card in plain words."""

from collections.abc import Mapping
from dataclasses import dataclass

from byline.index.quality_card import Measurement, figure
from byline_service.pages.charts import Gauge, gauge

_MEANINGS: Mapping[str, str] = {
    "lds": (
        "Models were retrained on random parts of the training set. This is how well summed scores ranked what those "
        "models then predicted: 0 is chance, 1 is perfect."
    ),
    "loo": (
        "Models were retrained without single rows. This is how well scores ranked the effect of each row: 0 is "
        "chance, 1 is perfect."
    ),
    "mislabel": (
        "Labels were made wrong on purpose. This is how often self-influence ranked a wrong label above a right one: "
        ".50 is chance, 1 is perfect."
    ),
}


@dataclass(frozen=True)
class Judged:
    """One measurement as the page shows it."""

    measurement: Measurement
    meaning: str
    """What was done, and what the figure means."""
    verdict: str
    """What it says about this index."""
    picture: Gauge


def judged(measurement: Measurement) -> Judged:
    """Put a measurement in words."""
    return Judged(
        measurement=measurement,
        meaning=_MEANINGS.get(measurement.metric, measurement.statistic),
        verdict=_verdict(measurement),
        picture=gauge(measurement.value, measurement.interval, measurement.ceiling),
    )


def _verdict(measurement: Measurement) -> str:
    sentences = []
    chance = 0.5 if measurement.metric == "mislabel" else 0.0
    if measurement.interval is not None:
        low, high = measurement.interval
        if low > chance:
            sentences.append(
                f"Better than chance: 95 % of resamples lie from {figure(low)} to {figure(high)}."
            )
        else:
            sentences.append(
                f"Not shown to be better than chance: the interval from {figure(low)} to {figure(high)} holds "
                f"{figure(chance)}."
            )
    if measurement.ceiling is not None:
        sentences.append(
            f"Perfect scores would reach {figure(measurement.ceiling)}, since trainings differ by chance."
        )
    return " ".join(sentences)
