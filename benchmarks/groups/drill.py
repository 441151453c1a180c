"""What a drill-down finds of the index of points' top 10, and what it costs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.groups.indexes import timed
from benchmarks.groups.problems import Problem
from byline.attribution import AttributionRequest, Attributor

TOP = 10


@dataclass(frozen=True, kw_only=True)
class Drilled:
    """One depth of drill-down, mean over queries."""

    groups: int
    searched: float
    """Share of the points that were scored."""
    overlap: float
    """Share of the index of points' top 10 that came back."""
    first: float
    """CPU milliseconds of a query, the first time it is asked."""
    again: float
    """And the second time: its groups' features are kept."""
    plain: float
    """The same query without a drill-down."""


def drilled(problem: Problem, points: Path, groups: Path, depth: int, queries: int) -> Drilled:
    """Ask both indexes the same questions.

    Args:
        problem: Has the queries.
        points: An index of points.
        groups: An index of groups.
        depth: Groups that are gone into.
        queries: How many questions.
    """
    every, coarse = Attributor.open(points), Attributor.open(groups)
    asked = payloads(problem, queries)
    coarse.attribute(AttributionRequest(query=asked[0], k=TOP))
    first, again, plain, overlap, searched = [], [], [], [], []
    for query in asked:
        deep = AttributionRequest(query=query, k=TOP, drill_down=True, drill_groups=depth)
        seconds, answer = timed(lambda deep=deep: coarse.attribute(deep))
        first.append(seconds)
        again.append(timed(lambda deep=deep: coarse.attribute(deep))[0])
        usual = AttributionRequest(query=query, k=TOP)
        plain.append(timed(lambda usual=usual: coarse.attribute(usual))[0])
        best = {each.row for each in every.attribute(usual).proponents}
        overlap.append(len(best & {each.row for each in answer.proponents}) / len(best))
        searched.append(answer.coverage.searched / answer.coverage.total)
    return Drilled(
        groups=depth,
        searched=float(np.mean(searched)),
        overlap=float(np.mean(overlap)),
        first=float(np.mean(first)) * 1e3,
        again=float(np.mean(again)) * 1e3,
        plain=float(np.mean(plain)) * 1e3,
    )


def payloads(problem: Problem, queries: int) -> list[dict[str, Any]]:
    """Queries as a client sends them."""
    data = problem.data
    pairs = zip(data.query_x[:queries], data.query_y[:queries].tolist(), strict=True)
    return [{"features": x.tolist(), "label": str(y)} for x, y in pairs]
