"""LDS, its interval and its ceiling, against scipy and against loops."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from byline.metrics import (
    Interval,
    agreement,
    pearson,
    predicted_outputs,
    resampled_means,
    two_way_interval,
)


def test_lds_is_the_sum_over_each_subset_correlated_with_its_output(rng: np.random.Generator) -> None:
    scores, subsets = rng.normal(size=(5, 20)), rng.random((12, 20)) < 0.5
    outputs = rng.normal(size=(12, 5))
    found = agreement(predicted_outputs(scores, subsets), outputs)
    for q in range(5):
        sums = [scores[q, subset].sum() for subset in subsets]
        assert found[q] == pytest.approx(spearmanr(sums, outputs[:, q]).statistic)


def test_leaving_one_row_out_is_the_correlation_of_its_score_and_its_effect(rng: np.random.Generator) -> None:
    scores = rng.normal(size=(3, 15))
    effects = scores + rng.normal(size=(3, 15))
    all_but_one = ~np.eye(15, dtype=bool)
    outputs = 7.0 - effects.T  # without row i the output falls by the row's effect
    found = agreement(predicted_outputs(scores, all_but_one), outputs, pearson)
    for q in range(3):
        assert found[q] == pytest.approx(pearsonr(scores[q], effects[q]).statistic)


def test_constant_truth_is_dropped_and_constant_scores_count_as_zero(rng: np.random.Generator) -> None:
    predicted, outputs = rng.normal(size=(8, 3)), rng.normal(size=(8, 3))
    predicted[:, 0] = 0.0
    outputs[:, 1] = -3.0
    found = agreement(predicted, outputs)
    assert found[0] == 0.0
    assert np.isnan(found[1])
    assert np.isfinite(found[2])


def test_the_interval_resamples_queries_and_subsets(rng: np.random.Generator) -> None:
    truth = rng.normal(size=(60, 40))
    predicted = truth + rng.normal(size=truth.shape)
    interval = two_way_interval(predicted, truth, draws=200)
    assert interval is not None
    assert interval.low < agreement(predicted, truth).mean() < interval.high
    generator = np.random.default_rng(0)
    means = []
    for _ in range(200):
        s, q = generator.integers(0, 60, 60), generator.integers(0, 40, 40)
        means.append(
            np.mean([spearmanr(predicted[s, each], truth[s, each]).statistic for each in q]),
        )
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_the_interval_covers_the_mean_of_the_population(rng: np.random.Generator) -> None:
    covered = 0
    for draw in range(40):
        truth = rng.normal(size=(40, 30))
        interval = two_way_interval(truth + rng.normal(size=truth.shape), truth, draws=100, seed=draw)
        assert interval is not None
        expected = 6 / np.pi * np.arcsin(np.sqrt(0.5) / 2)  # Spearman's of a Gaussian of that correlation
        covered += interval.low < expected < interval.high
    assert covered >= 33


def test_queries_of_constant_truth_take_no_part_in_the_interval(rng: np.random.Generator) -> None:
    truth, predicted = rng.normal(size=(20, 5)), rng.normal(size=(20, 5))
    with_constant = (
        np.concatenate([truth, np.ones((20, 1))], axis=1),
        np.concatenate([predicted, predicted[:, :1]], axis=1),
    )
    assert two_way_interval(with_constant[1], with_constant[0], draws=50) == two_way_interval(
        predicted, truth, draws=50
    )
    assert two_way_interval(predicted, np.ones((20, 5)), draws=5) is None


def test_draws_of_two_predictions_are_paired() -> None:
    generator = np.random.default_rng(7)
    outputs_SQ = generator.standard_normal((8, 5))
    predicted_SQ = outputs_SQ + generator.standard_normal((8, 5))
    means = resampled_means(predicted_SQ, outputs_SQ, draws=50)
    np.testing.assert_allclose(resampled_means(3 * predicted_SQ + 1, outputs_SQ, draws=50), means)
    low, high = np.quantile(means, [0.025, 0.975])
    assert two_way_interval(predicted_SQ, outputs_SQ, draws=50) == Interval(low, high)
