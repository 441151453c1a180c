"""Removal curves: retrain without the groups, or points, that an index says helped the held-out points most."""

import numpy as np

from benchmarks.tasks.group_truth import retrained
from benchmarks.tasks.groups import Problem
from byline.groups import GroupPartition

FRACTIONS = (0.05, 0.10, 0.20)
UNIT = 64
"""Numbers of removed points are multiples of this, so that random groups of 64 can match them."""


def budgets(problem: Problem) -> list[int]:
    """Points to remove."""
    rows = problem.protocol.train
    unit = UNIT if rows > 10 * UNIT else 4
    return [round(fraction * rows / unit) * unit for fraction in FRACTIONS]


def removed(members: GroupPartition, scores_J: np.ndarray, budget: int) -> np.ndarray:
    """Rows of the groups with the largest scores, as many as fit in the budget.

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
    losses = retrained(problem, rows, seeds)[:, :, problem.protocol.queries :].mean(axis=2)
    return losses.mean(axis=0), losses.std(axis=0, ddof=1) / seeds**0.5
