"""Estimate the cost of grouping and the number of groups.

Letters: R rows, J groups, D numbers that k-means compares.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch

from byline.index.faiss_file import KMEANS_PASSES
from byline.task import Task
from byline_indexer.build.partition import (
    VectorPasses,
    clustering_sample,
    compared_limits,
    comparison_vectors,
    partition,
)
from byline_indexer.progress import Silent
from byline_indexer.units.plan import BuildPlan


@dataclass(frozen=True)
class Grouping:
    """Number of groups, and the seconds of grouping."""

    groups: int
    """An upper bound for k-means, which drops centers without a point."""
    seconds: float


def grouping(plan: BuildPlan, task: Task) -> Grouping:
    """Count the groups: a column is read in full, k-means is tried on one batch.

    Args:
        plan: Names how points are grouped.
        task: Has them.

    Returns:
        Number of groups and seconds. Without groups every row counts as one, and takes no time.
    """
    options = plan.grouping
    if options is None:
        return Grouping(plan.rows, 0.0)
    start = time.perf_counter()
    if options.by != "kmeans":
        members = partition(task, plan.recipe, options, plan.numerics, Silent())
        return Grouping(len(members), time.perf_counter() - start)
    count = options.number(plan.rows)
    sample = min(plan.rows, clustering_sample(count))
    vectors = comparison_vectors(task, plan.recipe, options, plan.numerics.compute)
    passes = VectorPasses(task, vectors, compared_limits(options, plan.numerics))
    batch = np.arange(min(plan.rows, plan.numerics.batch_rows), dtype=np.int64)
    next(passes.of(batch))
    start = time.perf_counter()
    vectors_ND = torch.from_numpy(next(passes.of(batch)))
    a_vector = (time.perf_counter() - start) / len(batch)
    centers_DJ = torch.ones(vectors_ND.shape[1], min(count, 1024))
    vectors_ND @ centers_DJ
    start = time.perf_counter()
    vectors_ND @ centers_DJ
    a_distance = (time.perf_counter() - start) / (len(batch) * centers_DJ.shape[1])
    compares = sample * KMEANS_PASSES + plan.rows
    return Grouping(count, (sample + plan.rows) * a_vector + compares * count * a_distance)
