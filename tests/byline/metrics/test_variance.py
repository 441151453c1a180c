"""Variance components against synthetic scores whose components are known."""

import numpy as np
import pytest

from byline.metrics.variance import Components, choices, recommend_choice, variance_components


def synthetic(signal: float, checkpoint: float, mask: float, shape: tuple[int, int, int, int], seed: int = 0):
    """Scores with these variances, each query on a scale of its own."""
    generator = np.random.default_rng(seed)
    checkpoints, masks, queries, rows = shape
    scores = (
        signal**0.5 * generator.standard_normal((1, 1, queries, rows))
        + checkpoint**0.5 * generator.standard_normal((checkpoints, 1, queries, rows))
        + mask**0.5 * generator.standard_normal(shape)
    )
    scales = np.exp(generator.standard_normal((1, 1, queries, 1)))
    return scores * scales + generator.standard_normal((checkpoints, masks, queries, 1))


@pytest.mark.parametrize("parts", [(0.5, 0.3, 0.2), (0.1, 0.6, 0.3), (0.8, 0.0, 0.2)])
def test_finds_what_was_put_in(parts: tuple[float, float, float]) -> None:
    found = variance_components(synthetic(*parts, (3, 4, 20, 800)))
    assert found.s2 == 1
    assert found.rho_between == pytest.approx(parts[0], abs=0.03)
    assert found.rho_within == pytest.approx(parts[0] + parts[1], abs=0.03)


def test_predicts_the_variance_of_larger_ensembles() -> None:
    pilot = variance_components(synthetic(0.4, 0.35, 0.25, (3, 4, 20, 800)))
    large = synthetic(0.4, 0.35, 0.25, (8, 6, 40, 800), seed=1)
    one = np.mean(large.var(axis=3), axis=(0, 1))
    for checkpoints, masks in ((1, 6), (2, 3), (8, 1), (8, 6)):
        measured = np.mean(large[:checkpoints, :masks].mean(axis=(0, 1)).var(axis=1) / one)
        assert pilot.variance(checkpoints, masks) == pytest.approx(measured, rel=0.06)


def test_predicts_the_correlation_with_endlessly_many() -> None:
    pilot = variance_components(synthetic(0.4, 0.35, 0.25, (3, 4, 20, 800)))
    endless = synthetic(0.4, 0.35, 0.25, (400, 1, 1, 800), seed=2)[:, 0, 0]
    found = np.corrcoef(endless.mean(axis=0), endless[:4].mean(axis=0))[0, 1]
    assert pilot.reliability(4, 1) == pytest.approx(found, abs=0.05)


def test_one_checkpoint_says_nothing_about_others() -> None:
    found = variance_components(synthetic(0.4, 0.4, 0.2, (1, 4, 20, 800)))
    assert found.rho_between is None
    assert found.rho_within == pytest.approx(0.8, abs=0.03)
    assert found.reliability(1, 4) == pytest.approx((0.8 / (0.8 + 0.2 / 4)) ** 0.5, abs=0.02)


def test_without_masks_only_checkpoints_are_compared() -> None:
    found = variance_components(synthetic(0.5, 0.3, 0.2, (3, 1, 20, 800)))
    assert found.rho_within is None
    assert found.rho_between == pytest.approx(0.5, abs=0.03)
    assert {choice.masks for choice in choices(found, (1, 2, 3), budget=10)} == {1}
    alone = variance_components(synthetic(0.5, 0.3, 0.2, (1, 1, 2, 50)))
    assert (alone.rho_within, alone.rho_between) == (None, None)
    assert recommend_choice(choices(alone, (1,), budget=4)) is None


def test_scores_of_zero() -> None:
    assert variance_components(np.zeros((2, 2, 3, 10))).s2 == 0


def test_recommends_by_price() -> None:
    components = Components(s2=1.0, rho_within=0.6, rho_between=0.4)
    cheap_training = recommend_choice(choices(components, range(1, 11), budget=10))
    assert cheap_training is not None
    assert cheap_training.checkpoints >= 8
    assert cheap_training.passes <= 10
    dear_training = recommend_choice(
        choices(components, range(1, 11), budget=10, train_cost=1000), tolerance=0.1
    )
    assert dear_training is not None
    assert dear_training.checkpoints < cheap_training.checkpoints
    only_one = recommend_choice(choices(components, (1,), budget=10), tolerance=0.0)
    assert only_one is not None
    assert (only_one.checkpoints, only_one.masks) == (1, 10)
