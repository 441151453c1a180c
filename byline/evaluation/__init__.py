"""How well scores agree with what retraining really does: pure arithmetic on arrays.

Letters: Q queries, R rows of an index, S retrained subsets, T seeds that each subset was trained with.
"""

from byline.evaluation.agreement import (
    Interval,
    agreement,
    predicted_outputs,
    two_way_interval,
)
from byline.evaluation.ceiling import NoiseCeiling, noise_ceiling
from byline.evaluation.correlation import pearson, ranks, spearman
from byline.evaluation.detection import auc, auc_interval

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
    "spearman",
    "two_way_interval",
]
