"""Which queries `byline tune` chose by in a folder: `byline evaluate` reports none of them."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from byline.errors import InvalidInput

REPORT = "tuning.json"
"""What `byline tune` leaves in the folder."""


def tuned_queries(folder: Path, evaluation: str) -> set[int]:
    """Read which queries earlier runs of `byline tune` chose by.

    Args:
        folder: Of the evaluation.
        evaluation: Digest of the evaluation set; positions in another set say nothing of this one.

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
    """Hold that no reported query took part in a choice.

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
