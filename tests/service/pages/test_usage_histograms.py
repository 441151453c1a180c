"""The usage page reads times and counts of statuses from the histograms of the metrics."""

from math import inf

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram

from byline.api.answer_parts import Timings
from byline_service.observability.metrics import Metrics
from byline_service.pages.usage import quantile, request_statuses, stage_times


def cumulative(histogram):
    (family,) = histogram.collect()
    found = [
        (inf if sample.labels["le"] == "+Inf" else float(sample.labels["le"]), int(sample.value))
        for sample in family.samples
        if sample.name.endswith("_bucket")
    ]
    return sorted(found)


def test_quantiles_are_as_close_as_the_buckets_are_narrow():
    values = np.random.default_rng(3).uniform(0, 1, 5_000)
    histogram = Histogram("x", "x", buckets=np.linspace(0.05, 1, 20).tolist(), registry=CollectorRegistry())
    for value in values:
        histogram.observe(value)
    for q in (0.1, 0.5, 0.99):
        assert quantile(cumulative(histogram), q) == pytest.approx(np.quantile(values, q), abs=0.02)


def test_beyond_the_last_bucket_its_bound_is_what_is_known():
    assert quantile([(1.0, 0), (2.0, 0), (inf, 5)], 0.5) == 2.0
    assert quantile([(1.0, 4), (inf, 4)], 0.5) == 0.5


def test_stages_are_summed_over_indexes_and_empty_ones_left_out():
    metrics = Metrics()
    assert stage_times(metrics.registry) == []
    metrics.count_answer("a", Timings(gradient=10.0, search=2.0))
    metrics.count_answer("b", Timings(gradient=30.0, search=2.0))
    gradient, search = stage_times(metrics.registry)
    assert (gradient.stage, gradient.count, gradient.mean) == ("gradient", 2, pytest.approx(20))
    assert 5 <= gradient.median <= gradient.p99 <= 50
    assert (search.stage, search.mean) == ("search", pytest.approx(2))


def test_endings_are_those_of_the_api():
    metrics = Metrics()
    for route, status in (
        ("/v1/indexes", 200),
        ("/v1/indexes", 429),
        ("/v1/indexes/{name}", 429),
        ("/", 500),
    ):
        metrics.count_request("GET", route, status, 0.1)
    assert request_statuses(metrics.registry) == {200: 1, 429: 2}
