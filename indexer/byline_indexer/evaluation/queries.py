"""Split the evaluation set into reported and tuning queries, which never meet."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from byline.errors import InvalidInput
from byline_indexer.evaluation.options import MOST_BY_DEFAULT, EvaluationOptions

REPORT = "tuning.json"
"""File that `byline tune` leaves in the folder."""


@dataclass(frozen=True)
class Split:
    """Positions of queries in the evaluation set."""

    reported: NDArray[np.int64]
    tuning: NDArray[np.int64]


def split(items: int, options: EvaluationOptions) -> Split:
    """Shuffle the evaluation set; reported queries are taken from the front, tuning queries from the back.

    So a query that was tuned on can only be reported later if more queries are asked for than fit beside them.

    Args:
        items: Size of the evaluation set.
        options: How many of each. By default up to 100, and at most half for tuning.

    Returns:
        The positions, ascending.

    Raises:
        InvalidInput: The evaluation set has fewer items than are asked for.
    """
    tuning = min(MOST_BY_DEFAULT, items // 2) if options.tuning is None else options.tuning
    reported = min(MOST_BY_DEFAULT, items - tuning) if options.queries is None else options.queries
    if reported < 1 or reported + tuning > items:
        raise InvalidInput(
            f"expected an evaluation set with room for at least 1 reported query beside the tuning queries, got "
            f"{items} items for {max(reported, 0)} reported and {tuning} tuning queries: lower --queries or --tuning"
        )
    order = np.random.default_rng(options.seed).permutation(items)
    return Split(np.sort(order[:reported]), np.sort(order[items - tuning :]))


def tuned_queries(folder: Path, evaluation: str) -> set[int]:
    """Read the queries that earlier runs of `byline tune` chose by.

    Args:
        folder: Of the evaluation.
        evaluation: Digest of the evaluation set. Positions in another set say nothing of this one.

    Returns:
        Positions in the evaluation set.
    """
    try:
        document = json.loads((folder / REPORT).read_bytes())
        known = document["tuned_on"] if document["evaluation"] == evaluation else []
        return {int(item) for item in known}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def refuse_tuned(folder: Path, evaluation: str, reported: NDArray[np.int64]) -> None:
    """Refuse reported queries that took part in a choice.

    Args:
        folder: Of the evaluation.
        evaluation: Digest of the evaluation set.
        reported: Positions in it.

    Raises:
        InvalidInput: Some did, since `--seed`, `--queries` or `--tuning` were others then.
    """
    seen = tuned_queries(folder, evaluation) & {int(item) for item in reported}
    if seen:
        raise InvalidInput(
            f"expected to report queries that nothing was chosen by, got {len(seen)} of {len(reported)} that "
            f"`byline tune` chose by ({folder / REPORT}): give the --seed and --tuning of that run, or fewer --queries"
        )
