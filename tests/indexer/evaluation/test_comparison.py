"""Scores against a truth: the same numbers as scipy's, one query and one subset at a time."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from byline.metrics import agreement, noise_ceiling, predicted_outputs, two_way_interval
from byline_indexer.evaluation.comparison import compare, compare_baseline

ROWS, SUBSETS, SEEDS, QUERIES = 12, 9, 3, 4


@pytest.fixture(scope="module")
def truth() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    scores_QJ = rng.standard_normal((QUERIES, ROWS))
    subsets_SJ = rng.random((SUBSETS, ROWS)) < 0.5
    signal_SQ = subsets_SJ @ scores_QJ.T
    outputs_TSQ = signal_SQ + 2 * rng.standard_normal((SEEDS, SUBSETS, QUERIES))
    outputs_TSQ[:, :, 2] = 1.5  # a query whose outputs say nothing
    return scores_QJ, subsets_SJ, outputs_TSQ


def test_correlations_are_those_of_summed_scores(truth: tuple[np.ndarray, ...]) -> None:
    scores_QJ, subsets_SJ, outputs_TSQ = truth
    found = compare(scores_QJ, subsets_SJ, outputs_TSQ)
    for query in (0, 1, 3):
        summed = [sum(scores_QJ[query][row] for row in np.flatnonzero(each)) for each in subsets_SJ]
        real = outputs_TSQ.mean(axis=0)[:, query]
        assert found.rank_Q[query] == pytest.approx(spearmanr(summed, real).statistic, abs=1e-12)
        assert found.linear_Q[query] == pytest.approx(pearsonr(summed, real).statistic, abs=1e-12)
    assert found.value == pytest.approx(found.rank_Q[[0, 1, 3]].mean())


def test_queries_without_a_truth_are_dropped(truth: tuple[np.ndarray, ...]) -> None:
    found = compare(*truth)
    assert np.isnan(found.rank_Q[2])
    assert found.dropped == 1


def test_interval_and_ceiling_are_those_of_the_metrics(truth: tuple[np.ndarray, ...]) -> None:
    scores_QJ, subsets_SJ, outputs_TSQ = truth
    found = compare(scores_QJ, subsets_SJ, outputs_TSQ)
    predicted_SQ = predicted_outputs(scores_QJ, subsets_SJ)
    assert found.interval == two_way_interval(predicted_SQ, outputs_TSQ.mean(axis=0))
    assert found.ceiling == noise_ceiling(outputs_TSQ)
    assert found.interval is not None
    assert found.interval.low < found.value < found.interval.high


def test_one_seed_has_no_ceiling(truth: tuple[np.ndarray, ...]) -> None:
    scores_QJ, subsets_SJ, outputs_TSQ = truth
    assert compare(scores_QJ, subsets_SJ, outputs_TSQ[:1]).ceiling is None


def test_a_lead_is_the_difference_on_the_same_draws(truth: tuple[np.ndarray, ...]) -> None:
    scores_QJ, subsets_SJ, outputs_TSQ = truth
    outputs_SQ = outputs_TSQ.mean(axis=0)
    ours_SQ = predicted_outputs(scores_QJ, subsets_SJ)
    theirs_SQ = predicted_outputs(
        scores_QJ + 2 * np.random.default_rng(1).standard_normal(scores_QJ.shape), subsets_SJ
    )
    ours = compare(scores_QJ, subsets_SJ, outputs_TSQ)
    found = compare_baseline(ours, theirs_SQ, outputs_SQ)
    varying = [0, 1, 3]
    generator = np.random.default_rng(0)
    leads = []
    for _ in range(1000):
        subsets, columns = generator.integers(0, SUBSETS, SUBSETS), generator.integers(0, 3, 3)
        pick = np.ix_(subsets, np.array(varying)[columns])
        both = [agreement(each[pick], outputs_SQ[pick]) for each in (ours_SQ, theirs_SQ)]
        if not np.isnan(both[0]).all():
            leads.append(np.nanmean(both[0]) - np.nanmean(both[1]))
    np.testing.assert_allclose(found.lead, np.quantile(leads, [0.025, 0.975]), atol=1e-12)
    real = [spearmanr(theirs_SQ[:, q], outputs_SQ[:, q]).statistic for q in varying]
    assert found.value == pytest.approx(np.mean(real))
    same = compare_baseline(ours, ours_SQ, outputs_SQ)
    assert same.lead == (0.0, 0.0)
    assert not same.exceeded
