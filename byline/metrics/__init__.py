"""Metrics of scores against retrained models: pure arithmetic on arrays.

Letters: Q queries, R rows of an index, S retrained subsets, T seeds that each subset was trained with.
"""

from byline.metrics.auc import auc, auc_interval
from byline.metrics.correlation import pearson, ranks, spearman
from byline.metrics.lds import Interval, agreement, predicted_outputs, resampled_means, two_way_interval
from byline.metrics.noise_ceiling import NoiseCeiling, noise_ceiling

__all__ = [
    "Interval",
    "NoiseCeiling",
    "agreement",
    "auc",
    "auc_interval",
    "noise_ceiling",
    "pearson",
    "predicted_outputs",
    "ranks",
    "resampled_means",
    "spearman",
    "two_way_interval",
]
