"""Trainings are seeded, and their failures are named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from byline.errors import InvalidInput, InvalidTask
from byline.loading.task_file import load_task
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.evaluate import evaluate
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.evaluation.training import train
from tests.indexer.evaluation.conftest import SOURCE


def test_trainings_that_fail_say_how(config: BuildConfig, options: EvaluationOptions, tmp_path: Path) -> None:
    source = tmp_path / SOURCE.name
    whole = source.read_text()
    for broken, says in {
        "raise KeyError('x')": "Task.train raised KeyError on 20 rows with seed 0",
        "return 3": "expected Task.train to return a state dict, name -> tensor, got int",
        "return {'weight': torch.full((3, 4), torch.nan)}": "expected weights that are numbers, got NaN",
        "return {'weight': torch.zeros(2, 2)}": "shapes are not the model's",
        "return fit(x, y, 0)": "nothing to predict",
    }.items():
        source.write_text(whole.replace("return fit(x[chosen], y[chosen], seed)", broken))
        with pytest.raises((InvalidTask, InvalidInput), match=says):
            evaluate(config, options)


def test_training_leaves_torchs_generator_as_it_was(config: BuildConfig) -> None:
    loaded = load_task(config.task).task
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)

    def noisy(rows: object, seed: int) -> dict[str, torch.Tensor]:
        return {"weight": torch.rand(3, 4)}

    found = [train(replace(loaded, train=noisy), np.arange(3), seed)["weight"] for seed in (1, 1, 2)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert torch.equal(torch.rand(3), expected)
