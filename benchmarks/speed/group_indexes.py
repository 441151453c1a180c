"""Indexes of points and of groups: their costs and their scores.

All times are CPU time of one thread.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from benchmarks.tasks.groups import Problem
from byline.features.queries import Featurizer
from byline.groups import GroupOptions, GroupPartition
from byline.index.index import AttributionIndex
from byline.recipes import recipe
from byline.search.searcher import Searcher
from byline.task import Task
from byline_indexer.build.build import build
from byline_indexer.build.partition import partition
from byline_indexer.config import BuildConfig
from byline_indexer.progress import Silent
from byline_indexer.units.plan import Numerics

Result = TypeVar("Result")
RECIPES = ("ekfac", "tracin", "trak")
BATCH = 128
"""Points differentiated together in every build: `build.batch_rows`."""
NUMERICS = Numerics(block_rows=256, batch_rows=BATCH, threads=1, device="cpu", precision="float32")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Costs of an index."""

    build: float
    """CPU seconds of the whole build."""
    vectors: int
    """Bytes of the rows."""
    whole: int
    """Bytes of the directory."""
    search: float
    """Milliseconds of the search for one query's top 10."""


class Bench:
    """Builds indexes of one problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @cached_property
    def task(self) -> Task:
        """Task of the problem."""
        return self.problem.task()

    def config(self, name: str, groups: dict[str, Any] | None) -> BuildConfig:
        """Write a build file."""
        sized = "-".join(str(value) for value in (groups or {"by": "points"}).values())
        return BuildConfig.model_validate(
            {
                "task": self.problem.reference,
                "recipe": {"name": name},
                "index": {"path": self.problem.folder / f"{name}-{sized}"},
                "build": {"batch_rows": BATCH, "threads": 1},
                **({"groups": groups} if groups else {}),
            }
        )

    def measured(
        self, name: str, groups: dict[str, Any] | None = None, repeats: int = 1
    ) -> tuple[Path, Cost]:
        """Build an index from nothing, some times over; the fastest counts."""
        config = self.config(name, groups)
        seconds = []
        for _ in range(repeats):
            shutil.rmtree(config.index.path, ignore_errors=True)
            spent, built = timed(lambda: build(config))
            seconds.append(spent)
        with AttributionIndex.open(built.path) as index:
            searcher, queries_QK = Searcher(index), self._queries(index, 32)
            searches = [
                timed(lambda q=q: searcher.search(q[None], min(10, index.rows)))[0] for q in queries_QK
            ]
        sizes = {path: path.stat().st_size for path in built.path.rglob("*") if path.is_file()}
        vectors = sum(size for path, size in sizes.items() if path.parent.name == "vectors")
        return built.path, Cost(
            build=min(seconds),
            vectors=vectors,
            whole=sum(sizes.values()),
            search=float(np.median(searches[4:])) * 1e3,
        )

    def published(self, name: str, groups: dict[str, Any] | None = None) -> Path:
        """Build an index, or take the one that is published."""
        return build(self.config(name, groups)).path

    def scores(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Score every row for each query [Q, R], and for minus the mean loss of the held-out points [R]."""
        queries = self.problem.protocol.queries
        with AttributionIndex.open(path) as index:
            features_QK = self._queries(index, None)
            mean_K = features_QK[queries:].mean(axis=0, keepdims=True)
            searcher = Searcher(index)
            return searcher.scores(features_QK[:queries]), searcher.scores(mean_K)[0]

    def grouping(self, groups: dict[str, Any]) -> tuple[float, GroupPartition]:
        """Group the training set, and return the seconds and the groups."""
        task, chosen = self.task, recipe("ekfac")
        return timed(lambda: partition(task, chosen, GroupOptions.model_validate(groups), NUMERICS, Silent()))

    def _queries(self, index: AttributionIndex, count: int | None) -> np.ndarray:
        states = {member.name: index.states(member.name) for member in index.members}
        data = self.problem.data
        items = list(zip(data.query_x, data.query_y, strict=True))[:count]
        featurizer = Featurizer.open(self.task, index.recipe, states)
        parts = [featurizer.query(items[start : start + 100]) for start in range(0, len(items), 100)]
        found: np.ndarray = torch.cat(parts).numpy()
        return found


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Call a function, and return its CPU seconds and its result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result
