"""The blend's formula against plain loops in float64, and its edges."""

import statistics

import numpy as np
import pytest

from byline.baselines.blend import blend_scores, z_scores
from byline.errors import InvalidInput

RANDOM = np.random.default_rng(3)
INFLUENCE = (RANDOM.standard_normal((4, 17)) * 1e-6 + 3e-6).astype(np.float32)
SIMILAR = RANDOM.exponential(size=(4, 17)) * 40


def by_hand(scores: list[float]) -> list[float]:
    mean, spread = statistics.fmean(scores), statistics.pstdev(scores)
    return [(score - mean) / spread for score in scores]


@pytest.mark.parametrize("weight", [0.0, 0.25, 2.0])
def test_the_blend_is_the_sum_of_z_scores(weight: float) -> None:
    found = blend_scores(INFLUENCE, SIMILAR, weight)
    assert found.dtype == np.float64
    for q in range(4):
        parts = by_hand(INFLUENCE[q].astype(float).tolist()), by_hand(SIMILAR[q].tolist())
        wanted = [one + weight * other for one, other in zip(*parts, strict=True)]
        np.testing.assert_allclose(found[q], wanted, rtol=1e-9, atol=1e-12)


def test_an_infinite_weight_is_the_baseline_alone() -> None:
    assert (blend_scores(INFLUENCE, SIMILAR, np.inf) == z_scores(SIMILAR)).all()


def test_units_do_not_matter() -> None:
    scaled = blend_scores(INFLUENCE.astype(float) * 2.0**40 + 1.0, SIMILAR / 1024, 0.5)
    np.testing.assert_allclose(scaled, blend_scores(INFLUENCE, SIMILAR, 0.5), rtol=1e-8, atol=1e-10)


def test_a_query_whose_scores_are_all_equal_adds_nothing() -> None:
    constant = np.full((1, 3), 0.1)  # its mean in floating point is not 0.1
    assert (z_scores(constant) == 0).all()
    varied = SIMILAR[:1, :3]
    assert (blend_scores(constant, varied, 0.5) == 0.5 * z_scores(varied)).all()
    assert (blend_scores(varied, constant, 0.5) == z_scores(varied)).all()


@pytest.mark.parametrize(
    ("other", "weight", "message"),
    [
        (SIMILAR[:, :5], 1.0, "of one shape"),
        (SIMILAR[0], 1.0, "of one shape"),
        (SIMILAR, -0.1, "expected a weight of 0 or more, got -0.1"),
        (SIMILAR, float("nan"), "expected a weight of 0 or more, got nan"),
    ],
)
def test_what_does_not_fit_is_refused(other: np.ndarray, weight: float, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        blend_scores(INFLUENCE, other, weight)
