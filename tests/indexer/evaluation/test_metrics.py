"""The metrics of an evaluation against scipy."""

import numpy as np

from byline_indexer.cli.evaluate import MetricName
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.designs import leave_one_out
from byline_indexer.evaluation.evaluate import evaluate
from byline_indexer.evaluation.metrics import METRICS
from byline_indexer.evaluation.options import EvaluationOptions
from tests.indexer.evaluation.test_evaluate import by_hand, with_


def test_leave_one_out_is_scipys(config: BuildConfig, options: EvaluationOptions) -> None:
    found = evaluate(config, with_(options, metric="loo", points=10, tuning=0)).measured
    details = [each for each in found.details if not each["dropped"]]
    design = leave_one_out(40, 10, 0)
    expected = by_hand(config, design.subsets_SJ, [0] * 10, [each["item"] for each in details])
    np.testing.assert_allclose([(d["spearman"], d["pearson"]) for d in details], expected, atol=1e-4)
    assert found.measurement.further["pearson"] > 0.8


def test_every_metric_can_be_named() -> None:
    assert {each.value for each in MetricName} == set(METRICS)
