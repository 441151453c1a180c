"""Statistics of measurements."""

import math
import statistics
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """Find a percentile by the nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent * len(ordered) / 100) - 1)]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Fit the least-squares slope of y over x."""
    middle_x = statistics.fmean(x for x, _ in points)
    middle_y = statistics.fmean(y for _, y in points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread


def differences(one: dict, other: dict) -> tuple[bool, float]:
    """Compare two answers to one query.

    Returns:
        Whether the same training points came in the same order, and the largest difference of their scores, in
        units of the largest score.
    """
    ids = [[entry["example"]["id"] for entry in answer["proponents"]] for answer in (one, other)]
    scores = [[entry["score"] for entry in answer["proponents"]] for answer in (one, other)]
    scale = max((abs(score) for score in scores[0]), default=1.0) or 1.0
    apart = max((abs(a - b) for a, b in zip(*scores, strict=False)), default=0.0)
    return ids[0] == ids[1], apart / scale
