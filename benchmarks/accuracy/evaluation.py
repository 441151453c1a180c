"""The LDS of a recipe or a baseline, by the product's own evaluation on a truth that was made before."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track
from rich.table import Table

from benchmarks.tasks.truth import Subject
from byline.baselines import BASELINES, FitOptions
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.members import Member
from byline.metrics import agreement
from byline.models.network import load_network
from byline.models.representations import Representations
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.comparison import compare
from byline_indexer.evaluation.evaluate import evaluate
from byline_indexer.evaluation.options import EvaluationOptions

OUTPUT = "loss"
"""f of every benchmark: minus the loss."""


@dataclass(frozen=True)
class Row:
    """One line of a table: a recipe with changes, or a baseline with its options."""

    label: str
    name: str
    checkpoints: int = 1
    changes: dict[str, Any] = field(default_factory=dict)
    along: int = 1
    """Checkpoints of each run that stand in for its last one."""
    least: float | None = None
    """LDS that the row must reach."""

    def ensembles(self, models: int) -> list[list[int]]:
        """List the checkpoints of each index: of all of them together, or of one model after another."""
        if self.checkpoints > 1:
            return [list(range(self.checkpoints))]
        return [list(range(m * self.along, (m + 1) * self.along)) for m in range(models)]


@dataclass(frozen=True)
class Score:
    """LDS of one index, or the mean over several."""

    values: tuple[float, ...]
    low: float
    high: float
    width: int
    """Numbers that are stored for a row."""

    @property
    def value(self) -> float:
        """The mean."""
        return float(np.mean(self.values))

    @property
    def cells(self) -> tuple[str, str, str]:
        """Numbers a row, LDS with its range over the models, and the interval."""
        spread = f" ({min(self.values):.3f} to {max(self.values):.3f})" if len(self.values) > 1 else ""
        return f"{self.width:,}", f"{self.value:.3f}{spread}", f"{self.low:.3f} to {self.high:.3f}"

    @classmethod
    def mean(cls, scores: Sequence["Score"]) -> "Score":
        """Average over indexes."""
        return cls(
            values=tuple(value for each in scores for value in each.values),
            low=float(np.mean([each.low for each in scores])),
            high=float(np.mean([each.high for each in scores])),
            width=scores[-1].width,
        )


def measure(subject: Subject, row: Row, models: int) -> Score:
    """Evaluate every index of a row.

    Args:
        subject: Task and truth.
        row: A line of a table.
        models: Models that a row of one checkpoint is the mean over.
    """
    measured = measure_baseline if row.name in BASELINES else measure_recipe
    return Score.mean([measured(subject, row, checkpoints) for checkpoints in row.ensembles(models)])


def measure_recipe(subject: Subject, row: Row, checkpoints: list[int]) -> Score:
    """Build the index of some checkpoints, and run `byline evaluate` on it."""
    members = {**row.changes.get("members", {}), "checkpoints": checkpoints}
    with tempfile.TemporaryDirectory() as folder:
        config = subject.config({"name": row.name, **row.changes, "members": members}, f"{folder}/index")
        return evaluated(config, subject.truth, Path(folder))


def evaluated(config: BuildConfig, truth: Path, folder: Path) -> Score:
    """Run `byline evaluate` on the truth of the whole evaluation set.

    Args:
        config: The build file.
        truth: The truth.
        folder: Where the report goes.
    """
    options = EvaluationOptions(out=folder, truth=truth, output=OUTPUT, tuning=0, batch=100)
    measurement = evaluate(config, options).measured.measurement
    if measurement.interval is None:
        raise ValueError("expected outputs that vary over the subsets for some query, got none")
    with AttributionIndex.open(config.index.path) as index:
        return Score((measurement.value,), *measurement.interval, index.width)


def measure_baseline(subject: Subject, row: Row, checkpoints: list[int]) -> Score:
    """Fit a baseline, and compare its scores as `byline evaluate` compares those of an index."""
    task = load_task(subject.task).task
    items = list(task.evaluation_set or ())
    network = load_network(task, Member(checkpoints[0]))
    fitted = BASELINES[row.name].fit(task, FitOptions(model=network, **row.changes))
    truth = subject.read()
    found = compare(fitted.scores(items), truth.subsets_SJ, truth.outputs_TSE)
    if found.interval is None:
        raise ValueError("expected outputs that vary over the subsets for some query, got none")
    width = (
        0 if row.name == "bm25" else Representations(task, network, purpose=row.name).of(items[:1]).shape[1]
    )
    return Score((found.value,), found.interval.low, found.interval.high, width)


def seed_agreement(outputs_TSQ: np.ndarray) -> float:
    """Correlate each seed's outputs with the mean of the other seeds', averaged over seeds and queries."""
    found = [
        agreement(outputs, np.delete(outputs_TSQ, seed, axis=0).mean(axis=0))
        for seed, outputs in enumerate(outputs_TSQ)
    ]
    return float(np.nanmean(found))


def damping_table(subject: Subject, names: Sequence[str], dampings: Sequence[float], models: int) -> Table:
    """Measure every damping of some recipes: how their defaults were chosen.

    Args:
        subject: A Task with the tuning queries, and their truth.
        names: The recipes.
        dampings: The dampings.
        models: Models that each figure is the mean over.
    """
    table = Table("recipe", *map(str, dampings), title="LDS on the tuning queries, by damping")
    for name in track(names, description="recipes"):
        rows = [Row(name, name, changes={"curvature": {"damping": damping}}) for damping in dampings]
        table.add_row(name, *[f"{measure(subject, row, models).value:.3f}" for row in rows])
    return table
