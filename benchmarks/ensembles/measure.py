"""Builds the index of an ensemble, asks it, and holds it to the truth."""

import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks import digits_task
from benchmarks.ensembles.problems import Problem
from benchmarks.ensembles.rows import ADAPTERS, Row
from benchmarks.lds import bootstrap, lds
from byline.loading import load_task
from byline.query_features import Featurizer
from byline.search.searcher import Searcher
from byline.store.index import AttributionIndex
from indexer.adapters import train_adapters
from indexer.build import build
from indexer.config import BuildConfig

TIMED = 20
"""Queries that the clock is held to."""


@dataclass(kw_only=True)
class Result:
    """What one row costs and brings."""

    recipe: str
    label: str
    lds: float
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


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One index of a row."""

    lds: float
    draws: np.ndarray
    milliseconds: float
    size: int
    states: int


class Bench:
    """Measures ensembles of one problem."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._folder = digits_task.CACHE / f"ensembles-{problem.name}"
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
            "from dataclasses import replace\nfrom byline.loading import load_task\n\n\ndef task():\n"
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
            draws=np.mean([each.draws for each in found], axis=0),
            training=row.checkpoints * (1 + adapters * self._adapter_seconds / self._problem.train_seconds),
            passes=row.checkpoints * row.masks_asked * max(1, adapters),
            milliseconds=statistics.median(each.milliseconds for each in found),
            size=int(statistics.median(each.size for each in found)),
            states=int(statistics.median(each.states for each in found)),
        )

    def _asked(self, recipe: str, row: Row, checkpoints: list[int]) -> Asked:
        problem = self._problem
        with self._built(recipe, row, checkpoints) as (index, featurizer):
            searcher = Searcher(index, threads=1)
            features = [featurizer.query([query]) for query in problem.queries]
            milliseconds = [_milliseconds(searcher, featurizer, query) for query in problem.queries[:TIMED]]
            scores_QR = searcher.scores(torch.cat(features))
            sizes = {p: p.stat().st_size for p in index.path.rglob("*") if p.is_file()}
        against = (scores_QR, problem.subsets_SR, problem.truth_SQ)
        return Asked(
            lds=float(np.nanmean(lds(*against))),
            draws=bootstrap(*against),
            milliseconds=statistics.median(milliseconds),
            size=sum(sizes.values()),
            states=sum(size for path, size in sizes.items() if path.parent.name == "curvature"),
        )

    @contextmanager
    def _built(
        self, recipe: str, row: Row, checkpoints: list[int]
    ) -> Iterator[tuple[AttributionIndex, Featurizer]]:
        members = {**row.members, "checkpoints": checkpoints}
        with tempfile.TemporaryDirectory() as folder:
            config = {
                "task": self.reference,
                "recipe": {"name": recipe, **row.changes, "members": members},
                "index": {"path": folder},
                "build": {"threads": 1, **self._problem.build},
            }
            path = build(BuildConfig.model_validate(config)).path
            with AttributionIndex.open(path) as index:
                task = load_task(self.reference).task
                states = {member.name: index.states(member.name) for member in index.members}
                yield index, Featurizer.open(task, index.recipe, states)


def _milliseconds(searcher: Searcher, featurizer: Featurizer, query: object) -> float:
    start = time.process_time()
    searcher.search(featurizer.query([query]), 10)
    return (time.process_time() - start) * 1e3
