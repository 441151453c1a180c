"""Build the index of an ensemble, evaluate it, time its queries and weigh its files."""

import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.accuracy.ensembles.rows import ADAPTERS, Row
from benchmarks.accuracy.evaluation import evaluated
from benchmarks.tasks import CACHE
from benchmarks.tasks.ensembles import Problem
from benchmarks.tasks.truth import Subject
from byline.attribution.opening import load_featurizer
from byline.features.queries import Featurizer
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.metrics import predicted_outputs, resampled_means
from byline.search.searcher import Searcher
from byline.task import Item
from byline_indexer.adapters import train_adapters
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.comparison import compare

TIMED = 20
"""Queries that are timed."""


@dataclass(kw_only=True)
class Result:
    """Figures of one row."""

    recipe: str
    label: str
    lds: float
    tuning: float | None
    """LDS on the queries on which choices are made, where it is measured."""
    draws: np.ndarray
    """Mean LDS of resampled queries and subsets, of the same draws in every row."""
    training: float
    """Price of the training, in units of one checkpoint's."""
    passes: int
    """Gradients that a query takes."""
    milliseconds: float
    """CPU time of one query."""
    size: int
    """Bytes of the index."""
    states: int
    """Bytes that do not grow with the rows: fitted states and directions."""

    def above(self, other: "Result") -> tuple[float, float, float]:
        """Subtract the LDS of another row; the difference, and its paired 95 % interval."""
        low, high = np.quantile(self.draws - other.draws, (0.025, 0.975))
        return self.lds - other.lds, float(low), float(high)


@dataclass(frozen=True)
class Costs:
    """Figures of one index."""

    milliseconds: float
    """CPU time of a query, the median."""
    size: int
    """Bytes of all files."""
    states: int
    """Bytes that do not grow with the rows."""


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One index of a row."""

    lds: float
    tuning: float | None
    draws: np.ndarray
    costs: Costs


class Bench:
    """Measures ensembles of one problem."""

    def __init__(self, problem: Problem) -> None:
        self._problem, self._subject = problem, problem.subject
        self._folder = CACHE / f"ensembles-{problem.name}"
        self._adapter_seconds = 0.0
        self._truth, self._queries = problem.subject.read(), queries_of(problem.subject)
        self.available = len(load_task(problem.subject.task).task.checkpoints)

    def adapt(self) -> None:
        """Train adapters of the first checkpoints, once, and attribute a Task that lists them."""
        problem = self._problem
        task = load_task(problem.subject.task).task
        folders, seconds = [], []
        for checkpoint in range(min(problem.repeats, self.available)):
            out = self._folder / f"c{checkpoint}"
            start = time.process_time()
            folders.append(train_adapters(task, checkpoint, problem.adapters, out, count=ADAPTERS))
            record = self._folder / f"c{checkpoint}.json"
            if not record.exists():
                record.write_text(json.dumps((time.process_time() - start) / ADAPTERS))
            seconds.append(json.loads(record.read_text()))
        self._adapter_seconds = float(np.median(seconds))
        listed = [[str(folder) for folder in each] for each in folders]
        file = self._folder / "adapted.py"
        file.write_text(
            "from dataclasses import replace\nfrom byline.loading.task_file import load_task\n\n\ndef task():\n"
            f"    task, adapters = load_task({problem.subject.task!r}).task, {listed!r}\n"
            "    given = [*adapters, *[[]] * len(task.checkpoints)]\n"
            "    checkpoints = [replace(c, adapters=a) for c, a in zip(task.checkpoints, given, strict=False)]\n"
            "    return replace(task, checkpoints=checkpoints)\n"
        )
        self._subject = replace(problem.subject, task=f"{file}:task")

    def row(self, recipe: str, row: Row) -> Result:
        """Evaluate every index of a row, and average."""
        repeats = min(self._problem.repeats, self.available) if row.checkpoints == 1 else 1
        groups = [[c] for c in range(repeats)] if row.checkpoints == 1 else [list(range(row.checkpoints))]
        found = [self._evaluated(recipe, row, group) for group in groups]
        adapters = row.members.get("adapters", 0)
        return Result(
            recipe=recipe,
            label=row.label,
            lds=float(np.mean([each.lds for each in found])),
            tuning=_mean([each.tuning for each in found if each.tuning is not None]),
            draws=np.mean([each.draws for each in found], axis=0),
            training=row.checkpoints * (1 + adapters * self._adapter_seconds / self._problem.train_seconds),
            passes=row.checkpoints * row.masks_asked * max(1, adapters),
            milliseconds=statistics.median(each.costs.milliseconds for each in found),
            size=int(statistics.median(each.costs.size for each in found)),
            states=int(statistics.median(each.costs.states for each in found)),
        )

    def _evaluated(self, recipe: str, row: Row, checkpoints: list[int]) -> Evaluated:
        truth, tuning = self._truth, self._problem.tuning
        with built(self._subject, recipe, row, checkpoints) as (config, index):
            featurizer = load_featurizer(index, load_task(self._subject.task).task)
            spent = costs(index, featurizer, self._queries)
            score = evaluated(config, self._subject.truth, config.index.path.parent)
            predicted_SQ = predicted_outputs(_scores(index, featurizer, self._queries), truth.subsets_SJ)
            tuned = None
            if tuning is not None:
                others = tuning.read()
                scores_QR = _scores(index, featurizer, queries_of(tuning))
                tuned = compare(scores_QR, others.subsets_SJ, others.outputs_TSE).value
        draws = resampled_means(predicted_SQ, truth.outputs_TSE.mean(axis=0))
        return Evaluated(lds=score.value, tuning=tuned, draws=draws, costs=spent)


def queries_of(subject: Subject) -> list[Item]:
    """Read the whole evaluation set."""
    items = load_task(subject.task).task.evaluation_set or ()
    return [items[place] for place in range(len(items))]


@contextmanager
def built(
    subject: Subject, recipe: str, row: Row, checkpoints: list[int]
) -> Iterator[tuple[BuildConfig, AttributionIndex]]:
    """Build the index of a row in a temporary folder.

    Args:
        subject: The Task and the options of the build.
        recipe: Name of the recipe that the row changes.
        row: Members and changes.
        checkpoints: Places of the checkpoints in the Task.

    Yields:
        The build file and the opened index.
    """
    members = {**row.members, "checkpoints": checkpoints}
    subject = replace(subject, build={"threads": 1, **subject.build})
    with tempfile.TemporaryDirectory() as folder:
        chosen = {"name": recipe, **row.changes, "members": members}
        config = subject.config(chosen, Path(folder) / "index")
        with AttributionIndex.open(build(config).path) as index:
            yield config, index


def costs(index: AttributionIndex, featurizer: Featurizer, queries: Sequence[Item]) -> Costs:
    """Time the first queries, one at a time, and add up the sizes of the files.

    Args:
        index: The index.
        featurizer: Computes the queries' features.
        queries: At least one; the first `TIMED` are taken, after one that warms up.
    """
    searcher = Searcher(index, threads=1)
    _milliseconds(searcher, featurizer, queries[0])
    milliseconds = [_milliseconds(searcher, featurizer, query) for query in queries[:TIMED]]
    sizes = {path: path.stat().st_size for path in index.path.rglob("*") if path.is_file()}
    states = sum(size for path, size in sizes.items() if path.parent.name == "curvature")
    return Costs(statistics.median(milliseconds), sum(sizes.values()), states)


def _scores(index: AttributionIndex, featurizer: Featurizer, queries: Sequence[Item]) -> np.ndarray:
    features = [featurizer.query([query]) for query in queries]
    return Searcher(index, threads=1).scores(torch.cat(features))


def _milliseconds(searcher: Searcher, featurizer: Featurizer, query: Item) -> float:
    start = time.process_time()
    searcher.search(featurizer.query([query]), 10)
    return (time.process_time() - start) * 1e3


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
