"""Wire documents of quality cards: the measurements of a version, and their protocols."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from byline.api.documents import Document

Line = Annotated[str, Field(max_length=200)]
"""Readable text of one line."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
BASELINE_TITLES: Mapping[str, str] = {"bm25": "BM25", "representation": "representation similarity"}
"""Readable names of baselines."""


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
    refine: int = Field(default=0, ge=0)
    """Most steps that solved each query. 0: the scores are those of the index's own solution."""
    seeds: int | None = Field(default=None, ge=1)
    """Number of models trained on each subset. Their outputs are averaged."""
    paired: bool | None = None
    """Whether all subsets were trained with the same seeds, so that the noise that they share cancels. Null if unknown."""
    owners: int | None = Field(default=None, ge=0)
    """Number of owners in the training set. `subsets` of them were left out one by one, the largest first."""
    seed: int | None = None
    """Seed of the subsets, queries and wrong labels."""
    wrong_labels: int | None = Field(default=None, ge=0)
    """Number of training points with a wrong label."""
    truth: Literal["retrained", "file"] = "retrained"
    """Source of the truth: models retrained for this measurement, or their outputs in a file."""


class BaselineFigure(Document):
    """The figure of a baseline on the same truth and queries. It costs no gradients."""

    value: float
    """Value of the baseline."""
    interval: tuple[float, float] | None = None
    """95 % bootstrap interval."""
    lead: tuple[float, float] | None = None
    """95 % bootstrap interval of the measured value minus the baseline's, over the same draws of queries and subsets."""

    @property
    def exceeded(self) -> bool:
        """Whether the measured value is larger beyond chance: the whole interval of the lead is positive."""
        return self.lead is not None and self.lead[0] > 0


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
    baselines: Mapping[Name, BaselineFigure] = Field(default_factory=dict)
    """Figures of baselines by name: `bm25` and `representation`, where the Task has what they compare."""
    protocol: MeasurementProtocol
    """Protocol of the measurement."""
    measured: date
    """Day of the measurement."""
    libraries: Mapping[str, Line] = Field(default_factory=dict)
    """Versions of the libraries that measured."""

    @property
    def key(self) -> tuple[str | None, ...]:
        """Identify the measurement. A later one with the same key replaces it."""
        refined = f"refine {self.protocol.refine}" if self.protocol.refine else None
        return self.metric, self.protocol.target, self.protocol.output, refined

    @property
    def text(self) -> str:
        """Write the figure for people, such as `LDS .50 (.46 to .53), 100 queries`. It names baselines that are as good."""
        rivals = " or ".join(BASELINE_TITLES.get(name, name) for name in self.not_better_than)
        warning = f"; not better than {rivals}" if rivals else ""
        return f"{self.title} {bounded(self.value, self.interval)}, {self.sample}{warning}"

    @property
    def not_better_than(self) -> tuple[str, ...]:
        """Names of the baselines that the index is not shown to be better than."""
        return tuple(name for name, found in self.baselines.items() if not found.exceeded)

    @property
    def baseline_text(self) -> str:
        """Write the baselines' figures for people, such as `BM25 .52 (.48 to .55)`. Empty without baselines."""
        return "; ".join(
            f"{BASELINE_TITLES.get(name, name)} {bounded(found.value, found.interval)}"
            for name, found in self.baselines.items()
        )


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


def bounded(value: float, interval: tuple[float, float] | None) -> str:
    """Write a figure with its interval, such as `.50 (.46 to .53)`."""
    return figure(value) + ("" if interval is None else " ({} to {})".format(*map(figure, interval)))


def figure(value: float) -> str:
    """Write a figure with two decimals and no leading zero, such as `.50`. A third decimal avoids a false `1.00`."""
    places = 3 if 0.995 <= abs(value) < 1 else 2
    return f"{value:.{places}f}".replace("-0.", "-.").removeprefix("0")
