"""Overlap of a drill-down with the top 10 of the index of points, and its cost."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.group_indexes import timed
from benchmarks.tasks.groups import Problem
from byline.api.answer import Answer
from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest

TOP = 10


@dataclass(frozen=True, kw_only=True)
class Drilled:
    """One depth of drill-down, mean over queries."""

    groups: int
    searched: float
    """Share of the points that were scored."""
    overlap: float
    """Share of the top 10 of the index of points that it returned."""
    first: float
    """CPU milliseconds of a query in a first round, in which queries may share groups."""
    again: float
    """CPU milliseconds in a second round, with the features of all groups in memory."""
    plain: float
    """CPU milliseconds of the same query without a drill-down."""


def drilled(
    problem: Problem, points: Path, groups: Path, depths: tuple[int, ...], queries: int
) -> list[Drilled]:
    """Send both indexes the same queries.

    Args:
        problem: Has the queries.
        points: An index of points.
        groups: An index of groups.
        depths: Numbers of groups to drill into.
        queries: Number of queries.
    """
    asked = payloads(problem, queries)
    every = Attributor.open(points)
    best = [rows_of(every.attribute(AttributionRequest(query=query, k=TOP))) for query in asked]
    return [_at(Attributor.open(groups), asked, best, depth) for depth in depths]


def _at(coarse: Attributor, asked: list[dict[str, Any]], best: list[set[int]], depth: int) -> Drilled:
    coarse.attribute(AttributionRequest(query=asked[0], k=TOP))
    deep = [AttributionRequest(query=query, k=TOP, drill_down=True, drill_groups=depth) for query in asked]
    first, answers = timed(lambda: [coarse.attribute(each) for each in deep])
    again, _ = timed(lambda: [coarse.attribute(each) for each in deep])
    plain, _ = timed(lambda: [coarse.attribute(AttributionRequest(query=q, k=TOP)) for q in asked])
    overlap = [len(rows & rows_of(answer)) / len(rows) for rows, answer in zip(best, answers, strict=True)]
    return Drilled(
        groups=depth,
        searched=float(np.mean([answer.coverage.searched / answer.coverage.total for answer in answers])),
        overlap=float(np.mean(overlap)),
        first=first / len(asked) * 1e3,
        again=again / len(asked) * 1e3,
        plain=plain / len(asked) * 1e3,
    )


def rows_of(answer: Answer) -> set[int]:
    """Read the rows of the proponents."""
    return {each.row for each in answer.proponents or []}


def payloads(problem: Problem, queries: int) -> list[dict[str, Any]]:
    """Write queries as a client sends them."""
    data = problem.data
    pairs = zip(data.query_x[:queries], data.query_y[:queries].tolist(), strict=True)
    return [{"features": x.tolist(), "label": str(y)} for x, y in pairs]
