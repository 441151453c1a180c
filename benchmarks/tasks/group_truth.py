"""The truth for groups: networks retrained on random halves of the groups, or without some groups.

Halves of uneven groups have uneven numbers of points; shorter ones are filled up with a point that has no loss.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.tasks.groups import Problem
from byline.groups import GroupPartition


@dataclass(frozen=True)
class Halves:
    """Retrained networks."""

    subsets_SJ: np.ndarray
    """Bool: which groups each saw."""
    outputs_SQ: np.ndarray
    """Minus the loss of every query, mean over the seeds."""


def halves(problem: Problem, members: GroupPartition, count: int, seeds: int) -> Halves:
    """Retrain on random halves of the points, whole groups at a time; cached.

    Args:
        problem: Data and network.
        members: The groups.
        count: S, subsets.
        seeds: Networks of each subset.
    """
    rng = np.random.default_rng(1)
    subsets_SJ = np.stack([_half(members, rng) for _ in range(count)])
    rows = [members.points(np.flatnonzero(subset)) for subset in subsets_SJ]
    losses = retrained(problem, rows, seeds)
    return Halves(subsets_SJ, -losses[:, :, : problem.protocol.queries].mean(axis=0))


def retrained(problem: Problem, rows: list[np.ndarray], seeds: int) -> np.ndarray:
    """Retrain on lists of rows, some seeds each; cached.

    Returns:
        Losses of queries and held-out points: [seeds, lists, points].
    """
    longest = max(map(len, rows))
    filled = [np.concatenate([each, np.full(longest - len(each), problem.protocol.train)]) for each in rows]
    digest = hashlib.sha256(np.stack(filled).astype(np.int64).tobytes())
    digest.update(repr((problem.protocol, problem.widths, seeds)).encode())
    kept = problem.folder / f"truth-{digest.hexdigest()[:12]}.npy"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        lists: list[Tensor] = [torch.from_numpy(each.astype(np.int64)) for each in filled]
        losses = [torch.stack(problem.trained(lists, 1 + seed)) for seed in range(seeds)]
        np.save(kept, torch.stack(losses).numpy())
    found: np.ndarray = np.load(kept, allow_pickle=False)
    return found


def _half(members: GroupPartition, rng: np.random.Generator) -> np.ndarray:
    """Groups in a random order until they have half of the points, the last one only if that comes nearer."""
    order = rng.permutation(len(members))
    reached = np.cumsum(members.sizes[order])
    half = reached[-1] / 2
    number = int(np.searchsorted(reached, half)) + 1
    before = reached[number - 2] if number > 1 else 0
    if half - before < reached[number - 1] - half:
        number -= 1
    chosen = np.zeros(len(members), dtype=bool)
    chosen[order[: max(1, number)]] = True
    return chosen
