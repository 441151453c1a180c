"""Reads this process' histograms: how long stages take, and how requests ended. `/metrics` has the same numbers."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from prometheus_client import CollectorRegistry

STAGES = ("queue", "predict", "gradient", "transform", "search", "join")


@dataclass(frozen=True)
class StageTimes:
    """One stage of answers, in milliseconds."""

    stage: str
    count: int
    """Answers that had it."""
    mean: float
    median: float
    p99: float


def stage_times(registry: CollectorRegistry) -> list[StageTimes]:
    """Sum up `byline_stage_seconds` over indexes; stages that took no time are left out."""
    buckets: dict[str, Counter[float]] = defaultdict(Counter)
    sums: dict[str, float] = defaultdict(float)
    for family in registry.collect():
        for sample in family.samples:
            if sample.name == "byline_stage_seconds_bucket":
                buckets[sample.labels["stage"]][_bound(sample.labels["le"])] += int(sample.value)
            elif sample.name == "byline_stage_seconds_sum":
                sums[sample.labels["stage"]] += sample.value
    known = [stage for stage in STAGES if sums[stage] > 0]
    return [_times(stage, sorted(buckets[stage].items()), sums[stage]) for stage in known]


def _times(stage: str, cumulative: Sequence[tuple[float, int]], seconds: float) -> StageTimes:
    count = cumulative[-1][1]
    middle, late = quantile(cumulative, 0.5), quantile(cumulative, 0.99)
    return StageTimes(stage, count, 1e3 * seconds / count, 1e3 * middle, 1e3 * late)


def quantile(cumulative: Sequence[tuple[float, int]], q: float) -> float:
    """Estimate a quantile as Prometheus' `histogram_quantile` does: evenly spread within a bucket.

    Args:
        cumulative: (upper bound, observations at or below it), ascending, the last bound infinite.
        q: Between 0 and 1.
    """
    rank = q * cumulative[-1][1]
    below, start = 0, 0.0
    for bound, count in cumulative:
        if count >= rank and count > below:
            return start if bound == inf else start + (bound - start) * (rank - below) / (count - below)
        below, start = count, bound if bound != inf else start
    return start


def endings(registry: CollectorRegistry) -> Mapping[int, int]:
    """Requests to the API by how they ended, as HTTP status; pages and their files are left out."""
    found: Counter[int] = Counter()
    for family in registry.collect():
        for sample in family.samples:
            if sample.name == "byline_requests_total" and sample.labels["route"].startswith("/v1"):
                found[int(sample.labels["status"])] += int(sample.value)
    return found


def _bound(text: str) -> float:
    return inf if text == "+Inf" else float(text)
