"""Kinds of queries that measure the recall of codes, from easy to hard.

A row is its own nearest, which flatters codes. A query that has nothing of what all rows share is their hardest.

Legend: Q queries, K numbers of a vector. All queries here are for stored numbers: divided by their scales.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from byline.index.layout import Stretch, scale_exponents
from byline.index.vectors import VectorRows, unscale_features
from byline.models.device import CPU
from byline.randomness import random_integers, random_normals, stream_key
from byline.search.scores import normalize_queries

ROWS = "training rows"
RANDOM = "random"
ORTHOGONAL = "orthogonal to the mean row"
TARGET = "target"
"""The kind of real queries is this and the target's name."""
_ROWS = 32
_RANDOM = 16


def query_kinds(
    vectors: VectorRows,
    stretches: Sequence[Stretch],
    centre_K: NDArray[np.float32],
    seed: int,
    real: Mapping[str, NDArray[np.float32]],
) -> dict[str, NDArray[np.float32]]:
    """Draw queries of each kind.

    Args:
        vectors: Stored rows.
        stretches: With their scale exponents.
        centre_K: Mean of the stored rows, float32 [K].
        seed: Seed of the drawn queries.
        real: Features of real queries [Q, K] by target, not scaled.

    Returns:
        Kind -> queries [Q, K], the largest number of each in [.5, 1).
    """
    exponents_K = scale_exponents(stretches)
    drawn = random_normals(stream_key(seed, "recall", "random"), 0, 2 * _RANDOM, vectors.width, CPU).numpy()
    random_QK = np.ldexp(drawn.astype(np.float64), -exponents_K)
    kinds = {
        ROWS: np.ldexp(_some_rows(vectors, seed).astype(np.float64), -2 * exponents_K),
        RANDOM: random_QK[:_RANDOM],
        ORTHOGONAL: _orthogonal(random_QK[_RANDOM:], centre_K.astype(np.float64)),
    }
    kinds |= {f"{TARGET} {name}": unscale_features(features, stretches) for name, features in real.items()}
    return {kind: normalize_queries(queries_QK)[0] for kind, queries_QK in kinds.items() if len(queries_QK)}


def _some_rows(vectors: VectorRows, seed: int) -> NDArray[np.float32]:
    """Rows as queries: a stored number is the feature times 2^e, and a query that meets it is the feature over 2^e."""
    counters = torch.arange(min(_ROWS, vectors.rows), dtype=torch.int64)
    return vectors.gather(random_integers(stream_key(seed, "recall"), counters, vectors.rows).numpy())


def _orthogonal(queries_QK: NDArray[np.float64], centre_K: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take from queries what they have of a direction."""
    length = np.linalg.norm(centre_K)
    if length == 0:
        return queries_QK
    direction_K = centre_K / length
    return queries_QK - (queries_QK @ direction_K)[:, None] * direction_K
