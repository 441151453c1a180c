"""Builds the index of an ensemble, asks it, and holds it to the truth."""

import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.accuracy.ensembles.rows import ADAPTERS, Row
from benchmarks.accuracy.lds import bootstrap, lds
from benchmarks.tasks import CACHE
from benchmarks.tasks.ensembles import Problem
from byline.features.queries import Featurizer
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.search.searcher import Searcher
from byline.task import Item
from byline_indexer.adapters import train_adapters
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig

TIMED = 20
"""Queries that the clock is held to."""


@dataclass(kw_only=True)
class Result:
    """What one row costs and brings."""

    recipe: str
    label: str
    lds: float
    tuning: float | None
    """LDS on the queries that choices are made on, where they are measured."""
    draws: np.ndarray
    """Mean LDS of resampled queries and subsets, of the same draws in every row."""
    training: float
    """In units of one checkpoint's."""
    passes: int
    """Gradients a query takes."""
    milliseconds: float
    """Of one query."""
    size: int
    """Bytes of the index."""
    states: int
    """Bytes of these that do not grow with the rows: fitted states and directions."""

    def above(self, other: "Result") -> tuple[float, float, float]:
        """LDS over another row's, with its paired 95 % interval."""
        low, high = np.quantile(self.draws - other.draws, (0.025, 0.975))
        return self.lds - other.lds, float(low), float(high)


@dataclass(frozen=True)
class Costs:
    """What an index takes."""

    milliseconds: float
    """CPU time of a query, the median."""
    size: int
    """Bytes of all files."""
    states: int
    """Bytes of these that do not grow with the rows."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One index of a row."""

    lds: float
    tuning: float | None
    draws: np.ndarray
    costs: Costs


class Bench:
    """Measures ensembles of one problem."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._folder = CACHE / f"ensembles-{problem.name}"
        self._adapter_seconds = 0.0
        self.reference = problem.reference
        self.available = len(load_task(problem.reference).task.checkpoints)

    def adapt(self) -> None:
        """Train adapters of the first checkpoints, once, and take a Task that lists them."""
        problem = self._problem
        task = load_task(problem.reference).task
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
            f"    task, adapters = load_task({problem.reference!r}).task, {listed!r}\n"
            "    given = [*adapters, *[[]] * len(task.checkpoints)]\n"
            "    checkpoints = [replace(c, adapters=a) for c, a in zip(task.checkpoints, given, strict=False)]\n"
            "    return replace(task, checkpoints=checkpoints)\n"
        )
        self.reference = f"{file}:task"

    def row(self, recipe: str, row: Row) -> Result:
        """Build, ask and compare with the truth."""
        repeats = min(self._problem.repeats, self.available) if row.checkpoints == 1 else 1
        groups = [[c] for c in range(repeats)] if row.checkpoints == 1 else [list(range(row.checkpoints))]
        found = [self._asked(recipe, row, group) for group in groups]
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

    def _asked(self, recipe: str, row: Row, checkpoints: list[int]) -> Asked:
        problem = self._problem
        with built(self.reference, problem.build, recipe, row, checkpoints) as (index, featurizer):
            spent = costs(index, featurizer, problem.queries)
            scores_QR = _scores(index, featurizer, problem.queries)
            tuning = problem.tuning
            tuned_QR = _scores(index, featurizer, tuning.queries) if tuning else None
        against = (scores_QR, problem.subsets_SR, problem.truth_SQ)
        kept = None
        if tuning is not None and tuned_QR is not None:
            kept = float(np.nanmean(lds(tuned_QR, problem.subsets_SR, tuning.truth_SQ)))
        return Asked(
            lds=float(np.nanmean(lds(*against))), tuning=kept, draws=bootstrap(*against), costs=spent
        )


@contextmanager
def built(
    reference: str, options: dict[str, Any], recipe: str, row: Row, checkpoints: list[int]
) -> Iterator[tuple[AttributionIndex, Featurizer]]:
    """Build the index of a row in a temporary folder, and open what turns queries into features.

    Args:
        reference: The Task.
        options: Of the build.
        recipe: Name of the recipe that the row changes.
        row: Members and changes.
        checkpoints: Places of the checkpoints in the Task.

    Yields:
        The index and its featurizer.
    """
    members = {**row.members, "checkpoints": checkpoints}
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "task": reference,
            "recipe": {"name": recipe, **row.changes, "members": members},
            "index": {"path": folder},
            "build": {"threads": 1, **options},
        }
        path = build(BuildConfig.model_validate(config)).path
        with AttributionIndex.open(path) as index:
            states = {member.name: index.states(member.name) for member in index.members}
            yield index, Featurizer.open(load_task(reference).task, index.recipe, states)


def costs(index: AttributionIndex, featurizer: Featurizer, queries: Sequence[Item]) -> Costs:
    """Time the first queries, one at a time, and weigh the files.

    Args:
        index: What is searched.
        featurizer: What makes the queries' features.
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
