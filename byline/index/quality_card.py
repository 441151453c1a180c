"""The quality card: what was measured about an index, in a file beside its version.

An index is immutable, and measuring takes longer than building. So the card lies beside the version's directory,
`<version>.quality.json`, and names the manifest that it belongs to by its digest.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from byline.index.durable import replace_file

if TYPE_CHECKING:
    from byline.index.manifest import Manifest

MOST_BYTES = 1 << 20
"""A larger file is no card."""
Line = Annotated[str, Field(max_length=200)]
"""Text for people, of one line."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class MeasurementProtocol(_Document):
    """How a measurement was made; null where a field has no meaning for the metric."""

    target: Line | None = None
    """What the scores attribute: `loss`, or one of the Task's targets."""
    output: Line | None = None
    """f, the output of the retrained models that scores are held against: minus the `loss`, or a target."""
    queries: int | None = Field(default=None, ge=0)
    """Reported queries, those that were dropped included."""
    dropped: int = Field(default=0, ge=0)
    """Reported queries that were left out, since the truth is the same for every subset."""
    tuned_on: int = Field(default=0, ge=0)
    """Queries that were set apart for `byline tune`; none of them is reported."""
    subsets: int | None = Field(default=None, ge=0)
    """Retrained subsets."""
    alpha: float | None = Field(default=None, gt=0, lt=1)
    """Share of the training set that is in each."""
    seeds: int | None = Field(default=None, ge=1)
    """Models that were trained on each subset, whose outputs are averaged."""
    seed: int | None = None
    """Of the drawing of subsets, queries and wrong labels."""
    wrong_labels: int | None = Field(default=None, ge=0)
    """Training points whose labels were made wrong."""
    truth: Literal["retrained", "file"] = "retrained"
    """Whether the models were retrained for this measurement, or their outputs came in a file."""


class Measurement(_Document):
    """One figure, and what it is worth."""

    metric: Name
    """As `byline evaluate --metric` names it."""
    title: Line
    """For people: `LDS`."""
    statistic: Line
    """What exactly the value is."""
    value: float
    """The figure."""
    interval: tuple[float, float] | None = None
    """95 % bootstrap interval."""
    sample: Line
    """What the value is over: `100 queries`."""
    ceiling: float | None = None
    """What perfect scores would reach, since retrained models differ by their seeds; null where unknown."""
    further: Mapping[Name, float] = Field(default_factory=dict)
    """Further numbers of the same measurement."""
    protocol: MeasurementProtocol
    """How it was made."""
    measured: date
    """When."""
    libraries: Mapping[str, Line] = Field(default_factory=dict)
    """Versions of what measured."""

    @property
    def key(self) -> tuple[str | None, ...]:
        """A later measurement of the same key replaces this one."""
        return self.metric, self.protocol.target, self.protocol.output

    @property
    def text(self) -> str:
        """For people: `LDS .50 (.46 to .53), 100 queries`."""
        bounds = "" if self.interval is None else " ({} to {})".format(*map(figure, self.interval))
        return f"{self.title} {figure(self.value)}{bounds}, {self.sample}"


class QualityCard(_Document):
    """What was measured about one version of an index."""

    schema_version: Literal[1] = 1
    """Of this document."""
    manifest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Digest of the manifest that this belongs to: of no other version, and of no other build of this one."""
    search_recall_at_10: float | None = Field(default=None, ge=0, le=1)
    """Of compressed search, as the manifest has it; null where search is exact."""
    measurements: tuple[Measurement, ...] = ()
    """One of each metric, target and output."""

    @property
    def text(self) -> str:
        """All figures in one line."""
        return "; ".join(measurement.text for measurement in self.measurements)

    def with_measurement(self, new: Measurement) -> "QualityCard":
        """The same card with one measurement added, or replaced by a later one."""
        kept = [old for old in self.measurements if old.key != new.key]
        return self.model_copy(update={"measurements": (*kept, new)})


@dataclass(frozen=True)
class CardReading:
    """The result of reading a quality card."""

    card: QualityCard | None = None
    """None where nothing was measured, or the file cannot be used."""
    problem: str | None = None
    """Why a file that is there is not used."""


def figure(value: float) -> str:
    """Two decimals, without the zero before the point: `.50`, `-.03`, `1.00`; three where two would claim 1."""
    places = 3 if 0.995 <= abs(value) < 1 else 2
    return f"{value:.{places}f}".replace("-0.", "-.").removeprefix("0")


def card_path(version: Path) -> Path:
    """Return the path of a version's card."""
    return version.with_name(f"{version.name}.quality.json")


def read_card(version: Path, manifest: "Manifest") -> CardReading:
    """Read the card beside a version; an unusable card does not keep the index from opening.

    Args:
        version: The version's directory.
        manifest: Its manifest.

    Returns:
        The card, or why there is none.
    """
    path = card_path(version)
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return CardReading()
    except OSError as error:
        return CardReading(problem=f"{path.name} cannot be read ({error.strerror})")
    if len(data) > MOST_BYTES:
        return CardReading(problem=f"{path.name} is larger than {MOST_BYTES:,} bytes")
    try:
        card = QualityCard.model_validate(json.loads(data))
    except (ValueError, RecursionError) as error:
        return CardReading(
            problem=f"{path.name} is no quality card that this release can read{_where(error)}"
        )
    if card.manifest != manifest.digest:
        return CardReading(problem=f"{path.name} belongs to another build: run `byline evaluate` again")
    return CardReading(card)


def _where(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return ""
    fields = sorted({".".join(map(str, each["loc"])) for each in error.errors()[:3]})
    return f": {', '.join(fields)}"


def add_measurement(version: Path, manifest: "Manifest", new: Measurement) -> QualityCard:
    """Put a measurement on the card beside a version, which is made or replaced atomically.

    Args:
        version: The version's directory.
        manifest: Its manifest.
        new: The measurement.

    Returns:
        The card as it is now.
    """
    empty = QualityCard(manifest=manifest.digest, search_recall_at_10=manifest.search.recall_at_10)
    with _alone(version.parent):
        card = (read_card(version, manifest).card or empty).with_measurement(new)
        replace_file(card_path(version), card.model_dump_json(indent=1).encode() + b"\n")
    return card


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep two writers of cards apart, so that neither loses what the other measured."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
