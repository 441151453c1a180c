"""Rows and queries that are easy and hard for codes."""

import numpy as np
from numpy.typing import NDArray

from byline.index.index import AttributionIndex
from byline.index.layout import scale_exponents

KINDS = ("gauss", "lognormal", "clusters", "tiny", "common", "power", "sparse", "dups", "heavy")


def rows_of(kind: str, rows: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw rows of a kind, float32 [R, K]."""
    generator = np.random.default_rng(seed)
    normal = generator.standard_normal((rows, width))
    lengths = generator.standard_normal((rows, 1))
    made = {
        "gauss": lambda: normal,
        "lognormal": lambda: normal * np.exp(3 * lengths),
        "clusters": lambda: (
            generator.standard_normal((50, width))[generator.integers(50, size=rows)] + 1e-3 * normal
        ),
        "tiny": lambda: normal * np.where(generator.random((rows, 1)) < 0.99, 1e-6, 1.0),
        "common": lambda: 30 * direction(width) * np.exp(0.3 * lengths) + normal / np.sqrt(width),
        "power": lambda: normal * np.arange(1, width + 1) ** -1.5 * np.exp(lengths),
        "sparse": lambda: normal * (generator.random((rows, width)) < max(2 / width, 0.003)),
        "dups": lambda: normal[generator.integers(rows // 20, size=rows)],
        "heavy": lambda: normal * np.arange(1, width + 1) ** -0.5 * np.exp(lengths),
    }
    found: NDArray[np.float32] = made[kind]().astype(np.float32)
    return found


def direction(width: int) -> NDArray[np.float64]:
    """What rows of the kind `common` share, of length one."""
    drawn = np.random.default_rng(99).standard_normal(width)
    return drawn / np.linalg.norm(drawn)


def queries_for(rows: NDArray[np.float32], count: int, seed: int = 7) -> dict[str, NDArray[np.float32]]:
    """Queries of each kind [Q, K]: rows, random directions, and these less what the rows share."""
    generator = np.random.default_rng(seed)
    width = rows.shape[1]
    drawn = generator.standard_normal((count, width))
    less = drawn - np.outer(drawn @ direction(width), direction(width))
    return {
        "rows": rows[generator.integers(len(rows), size=count)],
        "random": drawn.astype(np.float32),
        "orthogonal": less.astype(np.float32),
    }


def recalls(
    index: AttributionIndex,
    stored: NDArray[np.float64],
    queries: NDArray[np.float32],
    found_QK: NDArray[np.int64],
    *,
    opponents: bool,
) -> NDArray[np.float64]:
    """Part of each query's best rows that was found, by float64 scores: of equal rows any will do."""
    scores_QR = np.ldexp(queries.astype(np.float64), -scale_exponents(index.manifest.stretches)) @ stored.T
    signed = -scores_QR if opponents else scores_QR
    k = found_QK.shape[1]
    best_QK = np.sort(signed, axis=1)[:, ::-1][:, :k]
    found = np.take_along_axis(signed, found_QK, axis=1)
    slack = 1e-9 * np.abs(best_QK).max(axis=1, keepdims=True)
    part: NDArray[np.float64] = (found >= best_QK[:, -1:] - slack).mean(axis=1)
    return part
