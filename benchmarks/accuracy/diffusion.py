"""Accuracy on a diffusion model of digits: LDS against models that were really trained on random halves.

    python -m benchmarks.accuracy.diffusion          # 6 minutes on one core, of which 2 retrain once
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

SUBSETS, FEW, MANY = 30, 8, 32
ON_LOSS = {"train_signal": "loss", "query_target": "loss", "row_weight": "none"}
METHODS: Mapping[str, tuple[int, str, dict[str, Any]]] = {
    "ekfac, loss, 8 draws": (FEW, "ekfac", {}),
    "ekfac, loss, 32 draws": (MANY, "ekfac", {}),
    "trak 1,024, loss, 8 draws": (FEW, "trak", ON_LOSS),
    "d_trak 1,024, 8 draws": (FEW, "d_trak", {}),
    "d_trak 1,024, 32 draws": (MANY, "d_trak", {}),
}


def main() -> int:
    """Print the table; 1 if the best influence is no better than likeness."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    rows, epochs, subsets = (24, 1, 3) if smoke else (diffusion.ROWS, diffusion.EPOCHS, SUBSETS)
    chosen_SR, outputs_SQ = diffusion.truth(subsets, epochs, rows)
    tasks = {draws: diffusion.task(epochs, rows, draws=4 if smoke else draws) for draws in (FEW, MANY)}
    found = {
        name: influence(tasks[draws], recipe, changes) for name, (draws, recipe, changes) in METHODS.items()
    }
    found |= likeness(tasks[FEW])
    table = Table(
        "scores", "LDS", "95 % interval", title=f"{diffusion.QUERIES} queries, {subsets} random halves"
    )
    means: dict[str, float] = {}
    for name, scores_QR in found.items():
        predicted_SQ = predicted_outputs(scores_QR, chosen_SR)
        values_Q = agreement(predicted_SQ, outputs_SQ)
        interval = two_way_interval(predicted_SQ, outputs_SQ)
        means[name] = float(np.nanmean(values_Q))
        known = "" if interval is None else f"{interval.low:.3f} to {interval.high:.3f}"
        table.add_row(name, f"{means[name]:.3f}", known)
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
