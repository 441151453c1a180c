"""Ranks and correlations against scipy."""

import numpy as np
import pytest
from scipy.stats import pearsonr, rankdata, spearmanr

from byline.metrics import (
    pearson,
    ranks,
    spearman,
)


def test_ranks_are_scipys_with_and_without_ties(rng: np.random.Generator) -> None:
    for values in (rng.normal(size=(30, 4)), rng.integers(0, 5, (30, 4)).astype(float)):
        np.testing.assert_array_equal(ranks(values), rankdata(values, axis=0))
    np.testing.assert_array_equal(ranks(np.zeros((1, 2))), np.ones((1, 2)))


def test_correlations_are_scipys(rng: np.random.Generator) -> None:
    a, b = rng.integers(0, 9, (25, 6)).astype(float), rng.normal(size=(25, 6))
    for q in range(6):
        assert spearman(a, b)[q] == pytest.approx(spearmanr(a[:, q], b[:, q]).statistic)
        assert pearson(a, b)[q] == pytest.approx(pearsonr(a[:, q], b[:, q]).statistic)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_correlations_do_not_depend_on_the_scale(rng: np.random.Generator, scale: float) -> None:
    a, b = rng.normal(size=(25, 3)), rng.normal(size=(25, 3))
    np.testing.assert_allclose(pearson(a * scale, b), pearson(a, b))
