"""Which items of the evaluation set are reported, and which are for tuning: never the same ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byline.errors import InvalidInput
from byline_indexer.evaluation.options import MOST_BY_DEFAULT, EvaluationOptions


@dataclass(frozen=True)
class Split:
    """Positions in the evaluation set."""

    reported: NDArray[np.int64]
    tuning: NDArray[np.int64]


def split(items: int, options: EvaluationOptions) -> Split:
    """Shuffle the evaluation set; reported queries are taken from the front, tuning queries from the back.

    So a query that was tuned on can only be reported later if more queries are asked for than fit beside them.

    Args:
        items: Size of the evaluation set.
        options: How many of each; by default up to 100, and at most half for tuning.

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
