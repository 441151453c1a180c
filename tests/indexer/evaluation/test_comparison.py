"""Scores against a truth: the same numbers as scipy's, one query and one subset at a time."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from byline.metrics import noise_ceiling, predicted_outputs, two_way_interval
from byline_indexer.evaluation.comparison import compare

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
