"""Kinds of queries: drawn from the seed alone, in the units of stored numbers."""

from pathlib import Path

import numpy as np
import pytest

from byline.index.layout import scale_exponents
from byline.search.query_kinds import query_kinds
from tests.byline.index.building import build, heavy_tailed

pytestmark = pytest.mark.search


def test_each_kind_is_what_its_name_says(tmp_path: Path) -> None:
    features = heavy_tailed(300, 12) + 2
    index = build(tmp_path / "v", features, widths=(8, 4))
    stretches, vectors = index.manifest.stretches, index.vectors
    centre = vectors.gather(np.arange(300)).mean(axis=0)
    real = {"margin": heavy_tailed(5, 12, seed=4)}
    kinds = query_kinds(vectors, stretches, centre, 3, real)
    assert list(kinds) == ["training rows", "random", "orthogonal to the mean row", "target margin"]
    for queries in kinds.values():
        largest = np.abs(queries).max(axis=1)
        assert ((largest >= 0.5) & (largest < 1)).all()
    orthogonal = kinds["orthogonal to the mean row"].astype(np.float64)
    lengths = np.linalg.norm(orthogonal, axis=1) * np.linalg.norm(centre)
    assert (np.abs(orthogonal @ centre) <= 1e-6 * lengths).all()

    def directions(queries: np.ndarray) -> np.ndarray:
        whole = np.ldexp(queries.astype(np.float64), scale_exponents(stretches))
        return whole / np.linalg.norm(whole, axis=1, keepdims=True)

    np.testing.assert_allclose(
        directions(kinds["target margin"]),
        real["margin"] / np.linalg.norm(real["margin"], axis=1, keepdims=True),
        atol=1e-6,
    )
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert ((directions(kinds["training rows"]) @ rows.T).max(axis=1) > 1 - 1e-5).all()
    again = query_kinds(vectors, stretches, centre, 3, real)
    assert all((kinds[kind] == again[kind]).all() for kind in kinds)
    assert (kinds["random"] != query_kinds(vectors, stretches, centre, 4, real)["random"]).any()
