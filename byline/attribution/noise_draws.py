"""Scores of a query of a diffusion model: their standard error over draws, and their parts by timestep.

Letters: B replicates, R rows of the index.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byline.attribution.attributor import Attributor
from byline.errors import InvalidQuery


@dataclass(frozen=True, kw_only=True)
class ReplicatedScores:
    """Scores over independent draws of timesteps and noise for the query. The training points keep their own draws."""

    scores_R: NDArray[np.float64]
    """Mean over the replicates."""
    errors_R: NDArray[np.float64]
    """Standard error of that mean."""


def replicated_scores(
    index: Attributor, query: Mapping[str, Any], *, replicates: int = 8, target: str | None = None
) -> ReplicatedScores:
    """Score every row of an index for several draws of one query.

    Args:
        index: An index of a Task whose payload has a field `replicate`, such as `byline.tasks.denoiser`.
        query: A payload. Its own `replicate` is replaced by 0, 1 and so on.
        replicates: Number B of draws. The standard error falls with its root.
        target: Attributed target. None takes the recipe's.

    Raises:
        InvalidQuery: The payload has no such field, or there are fewer than two replicates.
    """
    if replicates < 2:
        raise InvalidQuery(f"expected at least 2 replicates for a standard error, got {replicates}")
    queries = [{**query, "replicate": number} for number in range(replicates)]
    scores_BR = index.scores(queries, target=target).astype(np.float64)
    return ReplicatedScores(
        scores_R=scores_BR.mean(axis=0), errors_R=scores_BR.std(axis=0, ddof=1) / np.sqrt(replicates)
    )


def timestep_scores(index: Attributor, query: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Take the scores of a diffusion model's loss apart by timestep.

    Args:
        index: An index of a Task of `byline.tasks.denoiser`.
        query: A payload.

    Returns:
        Target of each band, early timesteps first -> its part of the score of every row, float64 [R]. The parts add up to
        the score of the target `loss`.

    Raises:
        InvalidQuery: The Task has no such targets.
    """
    noise = None if index.task is None else index.task.noise
    names = [] if noise is None else noise.bands
    if not names:
        raise InvalidQuery(
            "expected an index whose Task.noise has bands, as Tasks of byline.tasks.denoiser have, got one without, or one "
            "that was opened without its Task"
        )
    scores = {name: index.scores([query], target=name)[0].astype(np.float64) for name in names}
    return {name: scores_R / len(names) for name, scores_R in scores.items()}
