"""Removal curves: retrain without the groups or points with the largest scores for the held-out points."""

import numpy as np

from benchmarks.tasks.groups import Problem
from byline.groups import GroupPartition

FRACTIONS = (0.05, 0.10, 0.20)
UNIT = 64
"""Unit of the numbers of removed points, so that random groups of 64 can match them."""


def budgets(problem: Problem) -> list[int]:
    """List the numbers of points to remove."""
    rows = problem.protocol.train
    unit = UNIT if rows > 10 * UNIT else 4
    return [round(fraction * rows / unit) * unit for fraction in FRACTIONS]


def removed(members: GroupPartition, scores_J: np.ndarray, budget: int) -> np.ndarray:
    """Take the rows of the groups with the largest scores, as many as fit in the budget.

    Args:
        members: The groups.
        scores_J: Each group's score.
        budget: Points at most.
    """
    chosen: list[int] = []
    left = budget
    for group in np.argsort(-scores_J, kind="stable").tolist():
        size = int(members.sizes[group])
        if size <= left:
            chosen.append(group)
            left -= size
        if left == 0:
            break
    return members.points(np.array(chosen, dtype=np.int64))


def held_out_losses(
    problem: Problem, removals: list[np.ndarray], seeds: int
) -> tuple[np.ndarray, np.ndarray]:
    """Retrain without each list of rows.

    Returns:
        Mean held-out loss by list: its mean over the seeds, and that mean's standard error.
    """
    every = np.arange(problem.protocol.train)
    rows = [np.setdiff1d(every, each) for each in removals]
    every_seed = [problem.losses(rows, 1 + seed)[:, problem.protocol.queries :] for seed in range(seeds)]
    losses = np.stack(every_seed).mean(axis=2)
    return losses.mean(axis=0), losses.std(axis=0, ddof=1) / seeds**0.5
