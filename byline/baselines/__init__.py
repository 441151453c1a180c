"""Baselines: similarity and labels in place of gradients, to see whether influence tells more. See docs/baselines.md."""

from collections.abc import Mapping

from byline.api.terms import Baseline
from byline.baselines.base import FitOptions, FittedBaseline
from byline.baselines.bm25 import Bm25
from byline.baselines.knn_shapley import KnnShapley
from byline.baselines.patches import Patches
from byline.baselines.representation import Representation

BASELINES: Mapping[Baseline, type[FittedBaseline]] = {
    "bm25": Bm25,
    "representation": Representation,
    "knn_shapley": KnnShapley,
    "patches": Patches,
}
"""Every baseline by the name in requests."""

__all__ = [
    "BASELINES",
    "Bm25",
    "FitOptions",
    "FittedBaseline",
    "KnnShapley",
    "Patches",
    "Representation",
]
