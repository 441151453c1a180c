"""The sample of training points that a curvature is fitted on, the same for builds and for queries that solve."""

import numpy as np
import torch

from byline.randomness import random_bits, stream_key
from byline.types import Rows


def fit_sample(rows: int, sample: int | None, *, ordered: bool = True) -> Rows:
    """Choose the rows that a statistic is fitted on.

    Every row is hashed. Those with the smallest hashes are taken. So a sample does not depend on how the rows
    are cut, and a smaller sample is part of a larger one.

    Args:
        rows: R, rows of the training set.
        sample: Rows to take. None takes all.
        ordered: Whether to sort them; else they stay in the random order of their hashes.

    Returns:
        Row numbers.
    """
    if ordered and (sample is None or sample >= rows):
        return np.arange(rows, dtype=np.int64)
    hashes = random_bits(stream_key(0, "fit-sample"), torch.arange(rows, dtype=torch.int64)).numpy()
    chosen = np.argsort(hashes, kind="stable")[:sample]
    return (np.sort(chosen) if ordered else chosen).astype(np.int64)


def cut_batches(rows: Rows, size: int) -> list[Rows]:
    """Cut rows into batches. Only the last may be smaller."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]
