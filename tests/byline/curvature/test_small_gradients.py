"""Scores do not depend on the unit that a loss is measured in: a curvature of gradients near 1e-18 is no damping alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from byline.curvature.linalg import replace_zeros
from byline.index.index import AttributionIndex
from byline.index.layout import StorageOptions
from byline.loading.task_file import load_task
from byline.recipes import recipe as named_recipe
from byline.task import Objective, Task
from byline_indexer.build.index import BuildOptions, build_index
from byline_indexer.scores import score_items
from tests.indexer.conftest import TINY

TINY_UNIT = 2.0**-60
"""8.7e-19: squares of gradients are below the smallest normal float32."""


def scored(task: Task, recipe: str, folder: Path) -> np.ndarray:
    options = BuildOptions(block_rows=16, batch_rows=8, storage=StorageOptions(dtype="fp32"))
    chosen = named_recipe(recipe, members={"checkpoints": [0]})
    path = build_index(task, chosen, folder, options)
    queries = [task.train_set[row] for row in range(0, 90, 9)]
    return score_items(AttributionIndex.open(path), task, queries, "loss").astype(float)


def in_units_of(task: Task, unit: float) -> Task:
    def scaled(objective: Callable) -> Objective:
        return lambda *arguments: objective(*arguments) * unit

    assert task.outputs is not None
    outputs = replace(task.outputs, loss=scaled(task.outputs.loss))
    return replace(task, loss=scaled(task.loss), outputs=outputs)


@pytest.mark.parametrize(
    "recipe", ["ekfac", "kfac", "logra", "factgrass", "if_exact", "datainf", "rif", "relatif", "grad_cos"]
)
def test_a_loss_in_a_tiny_unit_has_the_same_scores(tmp_path: Path, recipe: str) -> None:
    task = load_task(f"{TINY}:task").task
    expected_QR = scored(task, recipe, tmp_path / "one")
    found_QR = scored(in_units_of(task, TINY_UNIT), recipe, tmp_path / "tiny")
    error = np.abs(found_QR / np.abs(found_QR).max() - expected_QR / np.abs(expected_QR).max())
    assert error.max() <= 1e-5


def test_only_a_mean_of_zero_is_replaced() -> None:
    means = torch.tensor([0.0, 1e-300, 2.0], dtype=torch.float64)
    assert replace_zeros(means).tolist() == [1.0, 1e-300, 2.0]
