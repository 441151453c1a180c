"""Wire documents of quality cards: the measurements of a version, and their protocols."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from byline.api.documents import Document

Line = Annotated[str, Field(max_length=200)]
"""Readable text of one line."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class MeasurementProtocol(Document):
    """The protocol of a measurement. A field is null if it has no meaning for the metric."""

    target: Line | None = None
    """Target of the scores: `loss`, or one of the Task's targets."""
    output: Line | None = None
    """Output of the retrained models that the scores are compared with: minus the `loss`, or a target."""
    queries: int | None = Field(default=None, ge=0)
    """Number of reported queries, including dropped ones."""
    dropped: int = Field(default=0, ge=0)
    """Number of dropped queries, whose truth is the same for every subset."""
    tuned_on: int = Field(default=0, ge=0)
    """Number of queries reserved for `byline tune`. None of them is reported."""
    subsets: int | None = Field(default=None, ge=0)
    """Number of retrained subsets."""
    alpha: float | None = Field(default=None, gt=0, lt=1)
    """Fraction of the training set in each subset."""
    seeds: int | None = Field(default=None, ge=1)
    """Number of models trained on each subset. Their outputs are averaged."""
    seed: int | None = None
    """Seed of the subsets, queries and wrong labels."""
    wrong_labels: int | None = Field(default=None, ge=0)
    """Number of training points with a wrong label."""
    truth: Literal["retrained", "file"] = "retrained"
    """Source of the truth: models retrained for this measurement, or their outputs in a file."""


class Measurement(Document):
    """A measured figure with its protocol."""

    metric: Name
    """Metric as `byline evaluate --metric` names it."""
    title: Line
    """Readable name of the metric, such as `LDS`."""
    statistic: Line
    """Definition of the value."""
    value: float
    """Measured value."""
    interval: tuple[float, float] | None = None
    """95 % bootstrap interval."""
    sample: Line
    """Sample behind the value, such as `100 queries`."""
    ceiling: float | None = None
    """Value that perfect scores would reach, because retrained models differ by seed. Null if unknown."""
    further: Mapping[Name, float] = Field(default_factory=dict)
    """Further values of the same measurement."""
    protocol: MeasurementProtocol
    """Protocol of the measurement."""
    measured: date
    """Day of the measurement."""
    libraries: Mapping[str, Line] = Field(default_factory=dict)
    """Versions of the libraries that measured."""

    @property
    def key(self) -> tuple[str | None, ...]:
        """Identify the measurement. A later one with the same key replaces it."""
        return self.metric, self.protocol.target, self.protocol.output

    @property
    def text(self) -> str:
        """Write the figure for people, such as `LDS .50 (.46 to .53), 100 queries`."""
        bounds = "" if self.interval is None else " ({} to {})".format(*map(figure, self.interval))
        return f"{self.title} {figure(self.value)}{bounds}, {self.sample}"


class QualityCard(Document):
    """The measurements of one version of an index."""

    schema_version: Literal[1] = 1
    """Version of this schema."""
    manifest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Digest of the measured version's manifest. Another build of the same version has another digest."""
    search_recall_at_10: float | None = Field(default=None, ge=0, le=1)
    """Recall of compressed search, from the manifest. Null if search is exact."""
    measurements: tuple[Measurement, ...] = ()
    """Measurements, at most one for each metric, target and output."""

    @property
    def text(self) -> str:
        """Write all figures on one line."""
        return "; ".join(measurement.text for measurement in self.measurements)

    def with_measurement(self, new: Measurement) -> "QualityCard":
        """Add a measurement to a copy of the card. It replaces an earlier one with the same key.

        Args:
            new: Measurement to add.
        """
        kept = [old for old in self.measurements if old.key != new.key]
        return self.model_copy(update={"measurements": (*kept, new)})


def figure(value: float) -> str:
    """Write a figure with two decimals and no leading zero, such as `.50`. A third decimal avoids a false `1.00`."""
    places = 3 if 0.995 <= abs(value) < 1 else 2
    return f"{value:.{places}f}".replace("-0.", "-.").removeprefix("0")
