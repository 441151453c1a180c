"""Accuracy on a diffusion model of digits: LDS against models that were really trained on random halves.

    python -m benchmarks.accuracy.diffusion          # 12 minutes on one core, of which 10 retrain once
    python -m benchmarks.accuracy.diffusion --smoke  # seconds: few images and models, no figure means anything

The compared scores: influence on the loss, D-TRAK (gradients of the prediction's square on both sides, Zheng et al. 2024),
and likeness of patches and of pixels.
"""

import argparse
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import byline
from benchmarks.report import Targets
from benchmarks.tasks import diffusion
from byline.baselines import Patches, Representation
from byline.metrics.lds import agreement, predicted_outputs, two_way_interval
from byline.task import Task

SUBSETS, DRAWS = 30, 8
D_TRAK = {"train_signal": "square", "query_target": "square", "row_weight": "none"}
METHODS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "ekfac, loss": ("ekfac", {}),
    "ekfac, loss, damping 10": ("ekfac", {"curvature": {"damping": 10.0}}),
    "trak 1,024, loss": ("trak", {**D_TRAK, "train_signal": "loss", "query_target": "loss"}),
    "trak 1,024, square (D-TRAK)": ("trak", D_TRAK),
    "logra, loss": ("logra", {}),
    "grad_cos, loss": ("grad_cos", {}),
}


def main() -> int:
    """Print the table; 1 if the best influence is no better than likeness."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    rows, epochs, subsets = (60, 1, 3) if smoke else (diffusion.ROWS, diffusion.EPOCHS, SUBSETS)
    chosen_SR, outputs_SQ = diffusion.truth(subsets, epochs, rows)
    task = diffusion.task(epochs, rows, draws=2 if smoke else DRAWS)
    found = {name: influence(task, *method) for name, method in METHODS.items()}
    found |= likeness(task)
    table = Table(
        "scores", "LDS", "95 % interval", title=f"{diffusion.QUERIES} queries, {subsets} random halves"
    )
    means: dict[str, float] = {}
    for name, scores_QR in found.items():
        predicted_SQ = predicted_outputs(scores_QR, chosen_SR)
        values_Q = agreement(predicted_SQ, outputs_SQ)
        interval = two_way_interval(predicted_SQ, outputs_SQ)
        means[name] = float(np.nanmean(values_Q))
        table.add_row(name, f"{means[name]:.3f}", f"{interval.low:.3f} to {interval.high:.3f}")
    Console(width=100).print(table)
    targets = Targets()
    best = max(means[name] for name in METHODS)
    targets.at_least(
        "best of influence less best of likeness", best - max(means["patches"], means["pixels"]), 0.0
    )
    return 0 if smoke else targets.exit_code()


def queries() -> list[Any]:
    """Make the queries: images that no model was trained on, with the draws of training images."""
    pixels, labels = diffusion.images()
    return [(pixels[row], labels[row]) for row in range(diffusion.ROWS, diffusion.ROWS + diffusion.QUERIES)]


def influence(task: Task, name: str, changes: dict[str, Any]) -> np.ndarray:
    """Scores of a recipe, [Q, R]."""
    with tempfile.TemporaryDirectory() as folder:
        index = byline.build(task, byline.recipe(name, **changes), folder, progress=False)
        return index.item_scores(queries())


def likeness(task: Task) -> dict[str, np.ndarray]:
    """Scores of the baselines, [Q, R]."""
    return {
        "patches": Patches.fit(task).scores(queries()),
        "pixels": Representation.fit(task).scores(queries()),
    }


if __name__ == "__main__":
    raise SystemExit(main())
